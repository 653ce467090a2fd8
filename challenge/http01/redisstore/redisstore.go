// Package redisstore keeps answers to http-01 challenges in Redis, for replicas
// that answer for each other:
//
//	solver := &http01.Shared{Store: &redisstore.Store{Client: redis.NewClient(&redis.Options{Addr: "redis:6379"})}}
//	mux.Handle(http01.PathPrefix, solver)
//
// It is a module of its own, so that the library does not depend on a client for
// Redis. Valkey and KeyDB speak the same protocol.
package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// A Store implements [http01.Store]. It keeps a hash for each token, with a field
// for each holder, which expires as a whole. A literal with a Client is ready to
// use; it is safe for concurrent use. Errors are the client's.
//
// With replicas of Redis that are read from, an answer may be put and not be found
// yet: give it a client that reads from the primary.
type Store struct {
	Client redis.UniversalClient // required

	// Prefix is what keys begin with, before the token; "" means "acme:http-01:".
	Prefix string
}

var _ http01.Store = (*Store)(nil)

func (s *Store) key(token string) string {
	if s.Prefix == "" {
		return "acme:http-01:" + token
	}
	return s.Prefix + token
}

// put sets a field of a hash, and lets the hash live for some milliseconds at least:
// both or none, so that nothing stays for ever. PEXPIRE has GT since Redis 7 only.
const put = `redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end`

// Put keeps an answer, by a script of two commands (EVAL). All answers to a token
// live as long as the one that lives longest.
func (s *Store) Put(ctx context.Context, a http01.Answer) error {
	ttl := max(a.TTL.Milliseconds(), 1)
	err := s.Client.Eval(ctx, put, []string{s.key(a.Token)}, a.Holder, string(a.KeyAuthorization), ttl).Err()
	if errors.Is(err, redis.Nil) { // the script returns nothing
		err = nil
	}
	return wrap(err)
}

// Get returns one of the answers to a token.
func (s *Store) Get(ctx context.Context, token string) (acme.KeyAuthorization, error) {
	found, err := s.Client.HVals(ctx, s.key(token)).Result()
	if err != nil || len(found) == 0 {
		return "", wrap(err)
	}
	return acme.KeyAuthorization(found[0]), nil
}

// Delete removes an answer. Redis removes the hash with the last one.
func (s *Store) Delete(ctx context.Context, a http01.Answer) error {
	return wrap(s.Client.HDel(ctx, s.key(a.Token), a.Holder).Err())
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %w", err)
}
