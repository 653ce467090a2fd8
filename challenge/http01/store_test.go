package http01_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// A SQLStore keeps answers in a table (PostgreSQL):
//
//	CREATE TABLE acme_http01 (token text, holder text, key_authorization text, expires timestamptz, PRIMARY KEY (token, holder))
type SQLStore struct{ DB *sql.DB }

func (s SQLStore) Put(ctx context.Context, a http01.Answer) error {
	_, err := s.DB.ExecContext(ctx, `INSERT INTO acme_http01 VALUES ($1, $2, $3, now() + $4 * interval '1 second')`,
		a.Token, a.Holder, string(a.KeyAuthorization), a.TTL.Seconds())
	return err
}

func (s SQLStore) Get(ctx context.Context, token string) (k acme.KeyAuthorization, err error) {
	row := s.DB.QueryRowContext(ctx, `SELECT key_authorization FROM acme_http01 WHERE token = $1 AND expires > now() LIMIT 1`, token)
	if err = row.Scan(&k); errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return k, err
}

func (s SQLStore) Delete(ctx context.Context, a http01.Answer) error {
	_, err := s.DB.ExecContext(ctx, `DELETE FROM acme_http01 WHERE token = $1 AND holder = $2 OR expires < now()`, a.Token, a.Holder)
	return err
}

// A Storage has the methods of certmagic's Storage that are needed, with its
// signatures; so has everything that implements that, for S3, Consul, etcd and
// others. Keys are lists of folders.
type Storage interface {
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, path string, recursive bool) ([]string, error)
}

// A StorageStore keeps answers in a Storage, which has no expiry: what a process
// that died has left stays.
type StorageStore struct{ Storage Storage }

func (s StorageStore) Put(ctx context.Context, a http01.Answer) error {
	return s.Storage.Store(ctx, "acme-http-01/"+a.Token+"/"+a.Holder, []byte(a.KeyAuthorization))
}

func (s StorageStore) Get(ctx context.Context, token string) (acme.KeyAuthorization, error) {
	keys, err := s.Storage.List(ctx, "acme-http-01/"+token, false)
	for _, key := range keys {
		if value, err := s.Storage.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) { // or it was deleted meanwhile
			return acme.KeyAuthorization(value), err
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return "", err
}

func (s StorageStore) Delete(ctx context.Context, a http01.Answer) error {
	err := s.Storage.Delete(ctx, "acme-http-01/"+a.Token+"/"+a.Holder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

var _ http01.Store = SQLStore{}

// What fits to certmagic's storages fits to the contract of a solver.
func TestStorage(t *testing.T) {
	t.Parallel()
	var store StorageStore
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			store = StorageStore{Storage: &files{}}
			return &http01.Shared{Store: store}
		},
		func(_ context.Context, a *acme.Attempt) error { return served(&http01.Shared{Store: store}, a) })
}

// files is a Storage in memory, as picky as the strictest: a folder that is not
// there cannot be listed.
type files struct {
	mu   sync.Mutex
	data map[string][]byte
}

func (f *files) Store(ctx context.Context, key string, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.data == nil {
		f.data = map[string][]byte{}
	}
	f.data[key] = value
	return ctx.Err()
}

func (f *files) Load(ctx context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value, ok := f.data[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value, ctx.Err()
}

func (f *files) Delete(ctx context.Context, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.data[key]; !ok {
		return fs.ErrNotExist
	}
	if ctx.Err() == nil {
		delete(f.data, key)
	}
	return ctx.Err()
}

func (f *files) List(ctx context.Context, path string, _ bool) (keys []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.data {
		if strings.HasPrefix(key, path+"/") {
			keys = append(keys, key)
		}
	}
	if keys == nil {
		return nil, fs.ErrNotExist
	}
	slices.Sort(keys)
	return keys, ctx.Err()
}
