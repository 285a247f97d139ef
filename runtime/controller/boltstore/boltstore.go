// Package boltstore keeps the schedules of a controller in a file, by bbolt.
//
//	store, err := boltstore.Open("schedules.db")
//	…
//	defer store.Close()
//	c, err := controller.Listen(ctx, controller.Options{Store: store})
//
// The file belongs to one controller at a time. It is of the machine's format in nothing, so it may be copied while no controller has it.
package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/daffi-rpc/daffi/runtime/controller"
)

var _ controller.Store = (*Store)(nil)

var (
	// ErrInUse is the error of a file that another controller has.
	ErrInUse = errors.New("the store is in use by another controller")
	// ErrDamaged is the error of a file that cannot be read, or is none of this package.
	ErrDamaged = errors.New("the store is damaged, or the file is something else")
)

// lockWait is how long a controller that ends at this moment may hold the file.
const lockWait = time.Second

var records = []byte("records") // the only bucket

// Store is an open file. It implements [controller.Store].
type Store struct {
	db   *bbolt.DB
	path string
}

// Open opens the file, which only this user may read, or makes it. Its directory must exist. It is read at once, so that damage is found now and not while schedules run: errors match
// [ErrInUse] or [ErrDamaged].
func Open(path string) (*Store, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open the store %s: %w", path, fs.ErrInvalid)
	}
	db, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", path, err)
	}
	return &Store{db: db, path: path}, nil
}

// open opens the file and walks through it.
func open(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // where the file ends too early
	defer func() {
		if r := recover(); r != nil { // bbolt panics where pages make no sense
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
		if err != nil && db != nil {
			db.Close()
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	return db, db.Update(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: it has %d bytes, of %d", ErrDamaged, info.Size(), tx.Size())
		}
		b, err := tx.CreateBucketIfNotExists(records)
		if err != nil {
			return err
		}
		return b.ForEach(func(key, value []byte) error { return nil })
	})
}

// Load implements [controller.Store].
func (s *Store) Load(f func(key string, value []byte) error) error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(records).ForEach(func(key, value []byte) error { return f(string(key), value) })
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// Commit implements [controller.Store]: one transaction, which is on disk when it returns.
func (s *Store) Commit(put map[string][]byte, remove []string) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(records)
		for _, key := range remove {
			if err := b.Delete([]byte(key)); err != nil {
				return err
			}
		}
		for key, value := range put {
			if err := b.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close gives the file free. The controller must be closed before.
func (s *Store) Close() error { return s.db.Close() }
