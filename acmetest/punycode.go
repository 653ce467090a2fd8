package acmetest

import "strings"

// isPunycode reports whether s, the part of an A-label after "xn--", decodes to something that is not ASCII (RFC 3492 §6.2).
func isPunycode(s string) bool {
	basic := strings.LastIndexByte(s, '-')
	if basic == 0 {
		return false // a delimiter with nothing to delimit
	}
	digits := s[basic+1:]
	count := int64(max(basic, 0)) // code points so far
	n, i, bias := int64(128), int64(0), int64(72)
	for digits != "" {
		delta, rest, ok := punycodeDelta(digits, bias)
		if !ok {
			return false
		}
		digits = rest
		count++
		bias = punycodeBias(delta, count, i == 0 && n == 128)
		n += (i + delta) / count
		i = (i+delta)%count + 1
		if n > 0x10FFFF || n >= 0xD800 && n < 0xE000 {
			return false
		}
	}
	return s[basic+1:] != ""
}

// punycodeDelta decodes one generalized variable-length integer.
func punycodeDelta(digits string, bias int64) (delta int64, rest string, ok bool) {
	const limit = 1 << 40 // far more than any valid value, and far from an overflow
	w := int64(1)
	for k := int64(36); digits != "" && delta < limit; k += 36 {
		digit := int64(digits[0]) - 'a'
		if digits[0] <= '9' {
			digit = int64(digits[0]) - '0' + 26
		}
		digits = digits[1:]
		delta += digit * w
		t := min(max(k-bias, 1), 26)
		if digit < t {
			return delta, digits, true
		}
		w *= 36 - t
	}
	return 0, "", false
}

// punycodeBias is the adaptation of RFC 3492 §6.1.
func punycodeBias(delta, count int64, first bool) int64 {
	if first {
		delta /= 700
	} else {
		delta /= 2
	}
	delta += delta / count
	k := int64(0)
	for ; delta > 35*26/2; k += 36 {
		delta /= 35
	}
	return k + 36*delta/(delta+38)
}
