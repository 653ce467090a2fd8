package acmetest

import (
	"net/http"
	"slices"
	"strconv"
)

// OrderInfo is what [Server.Orders] tells about an order.
type OrderInfo struct {
	URL            string
	Status         string
	AccountURL     string
	CertificateURL string // empty until the order is valid
	Identifiers    []Identifier
	Profile        string
	Replaces       string
}

// Orders returns all orders, oldest first.
func (s *Server) Orders() []OrderInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleQuietly()
	var all []OrderInfo
	for _, o := range s.orderList {
		o.refresh()
		info := OrderInfo{
			URL:         o.url(o.base),
			Status:      o.status,
			AccountURL:  o.account.url(o.base),
			Identifiers: slices.Clone(o.identifiers),
			Profile:     o.profile,
			Replaces:    o.replaces,
		}
		if o.certificate != nil {
			info.CertificateURL = o.certificate.url(o.certificateBase(o.base))
		}
		all = append(all, info)
	}
	return all
}

// page tells how long the pages of a list are, and where this one starts.
func (s *Server) page(c *call) (size, start int) {
	start, _ = strconv.Atoi(c.query.Get("cursor")) // we made it
	if size = s.opts.OrdersPerPage; size <= 0 {
		size = 10
	}
	return size, max(start, 0)
}

// ordersPage is the orders list of an account (§7.1.2.1): all but the invalid ones, in pages.
func (s *Server) ordersPage(c *call) (*answer, *refusal) {
	if c.id != c.account.id {
		return nil, unauthorized("these are another account's orders")
	}
	if r := c.asGet(); r != nil {
		return nil, r
	}
	size, start := s.page(c)
	urls, next := []string{}, 0
	for i := start; i < len(c.account.orders); i++ {
		o := c.account.orders[i]
		if o.refresh(); o.status == statusInvalid {
			continue
		}
		if len(urls) == size {
			next = i
			break
		}
		urls = append(urls, o.url(c.base))
	}
	a := jsonAnswer(http.StatusOK, map[string]any{"orders": urls})
	if next > 0 {
		addLink(a.header, c.account.url(c.base)+suffixOrders+"?cursor="+strconv.Itoa(next), "next")
	}
	return a, nil
}
