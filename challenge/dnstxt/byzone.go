package dnstxt

import (
	"context"
	"fmt"
)

// A Change is the records to add to a zone, or to remove from it.
type Change struct {
	Zone    string // canonical
	Records []Record
}

// Changes groups records by the zone that they are in, for providers that change a
// zone with one call. The order is kept. The zones are looked up with zone, side
// by side, once for each name; nil is the Zone of a zero [Resolver]. A zone that a
// name is not in is [ErrNoZone].
func Changes(ctx context.Context, recs []Record, zone func(ctx context.Context, name string) (string, error)) ([]Change, error) {
	if zone == nil {
		zone = new(Resolver).Zone
	}
	names := make([]string, len(recs))
	for i, r := range recs {
		var err error
		if names[i], err = CanonicalName(r.Name); err != nil {
			return nil, err
		}
	}
	zones, err := forEach(ctx, names, func(ctx context.Context, name string) (string, error) { return checkedZone(ctx, name, zone) })
	if err != nil {
		return nil, err
	}
	var changes []Change
	index := make(map[string]int)
	for i, r := range recs {
		z := zones[names[i]]
		at, ok := index[z]
		if !ok {
			at = len(changes)
			index[z], changes = at, append(changes, Change{Zone: z})
		}
		changes[at].Records = append(changes[at].Records, r)
	}
	return changes, nil
}

// checkedZone looks a zone up, and checks what comes of it.
func checkedZone(ctx context.Context, name string, zone func(context.Context, string) (string, error)) (string, error) {
	found, err := zone(ctx, name)
	if err != nil {
		return "", err
	}
	found, err = CanonicalName(found)
	switch {
	case err != nil:
		return "", fmt.Errorf("the zone of %s: %w", name, err)
	case !isWithin(name, found):
		return "", fmt.Errorf("%w: %s is not in %s", ErrNoZone, name, quote(found))
	}
	return found, nil
}
