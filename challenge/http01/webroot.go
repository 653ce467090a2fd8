package http01

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// A Webroot writes answers as files, for a web server that is not this program.
// A literal with a Dir is ready to use, for any number of orders at once; it
// must not be copied after first use.
//
// Files appear as a whole, readable by everybody, and so are the folders that
// are made for them. The cleanup removes both, and nothing else: no file that
// was there before or has been changed, no folder that has got something else
// in it. Nothing outside of Dir is touched, whatever a token or a symbolic link
// says.
type Webroot struct {
	// Dir is the folder that the web server serves for the names ("/var/www/html").
	// It must exist.
	Dir string

	// Path is the folder of the answers, in Dir, with slashes; "" means
	// ".well-known/acme-challenge". A web server that has another folder for
	// that path is given that as Dir, and "." here.
	Path string

	mu    sync.Mutex
	root  *os.Root         // while there are files
	files map[string]*file // by token
	made  []string         // folders, the outermost first
}

// A file with an answer, and how many attempts want it.
type file struct {
	keyAuthorization string
	wanted           int
	made             bool // by us; otherwise it was there
}

// Supports reports whether a is an http-01 challenge for a name that is no
// wildcard, or for an address.
func (w *Webroot) Supports(a *acme.Attempt) bool { return supports(a) }

// Present writes a file for each attempt. It fails, and leaves nothing, if an
// attempt's token is not base64url or its key authorization not the token's, if
// something else is in the place of a file, or if the file system says so.
func (w *Webroot) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	if err := checkAll(batch, check); err != nil || len(batch) == 0 {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var tokens []string
	for _, a := range batch {
		err := ctx.Err()
		if err == nil {
			err = w.add(a.Challenge.Token, string(a.KeyAuthorization))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("http01: %s: writing the answer below %s: %w", a, w.Dir, err), w.remove(tokens))
		}
		tokens = append(tokens, a.Challenge.Token)
	}
	var once sync.Once // a second call must not take away what another order needs
	return func(context.Context) error {
		var err error
		once.Do(func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err = w.remove(tokens); err != nil {
				err = fmt.Errorf("http01: removing answers below %s: %w", w.Dir, err)
			}
		})
		return err
	}, nil
}

// folder is the folder of the answers, in the root.
func (w *Webroot) folder() string {
	if w.Path == "" {
		return strings.Trim(PathPrefix, "/")
	}
	return path.Clean(w.Path)
}

// add sees to it that there is a file, and counts that it is wanted.
func (w *Webroot) add(token, keyAuthorization string) error {
	if f := w.files[token]; f != nil {
		if f.keyAuthorization != keyAuthorization {
			return errors.New("the token is in use, with another account's key")
		}
		f.wanted++
		return nil
	}
	if w.root == nil {
		root, err := os.OpenRoot(w.Dir)
		if err != nil {
			return err
		}
		w.root, w.files = root, make(map[string]*file)
	}
	made, err := w.make(token, keyAuthorization)
	if err != nil {
		return errors.Join(err, w.tidy())
	}
	w.files[token] = &file{keyAuthorization: keyAuthorization, wanted: 1, made: made}
	return nil
}

// make makes the file, and reports whether it was not there already. Another
// process may remove the folders that it had made at just this moment: then they
// are made anew.
func (w *Webroot) make(token, keyAuthorization string) (made bool, err error) {
	for range 10 {
		if made, err = w.tryMake(path.Join(w.folder(), token), keyAuthorization); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return made, err
}

func (w *Webroot) tryMake(name, keyAuthorization string) (made bool, err error) {
	if err := w.makeFolders(); err != nil {
		return false, err
	}
	switch found, err := w.read(name); {
	case err == nil && found == keyAuthorization:
		return false, nil
	case err == nil:
		return false, fmt.Errorf("%s is there already, with something else in it", name)
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	return true, w.write(name, keyAuthorization)
}

// makeFolders makes the folders that are missing.
func (w *Webroot) makeFolders() error {
	folder := w.folder()
	for i, c := range folder + "/" {
		if c != '/' || i == 0 {
			continue
		}
		parent := folder[:i]
		err := w.root.Mkdir(parent, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		w.made = append(w.made, parent)
		if err := w.root.Chmod(parent, 0o755); err != nil { // whatever the umask
			return err
		}
	}
	return nil
}

var errIrregular = errors.New("not a regular file")

// read returns the beginning of a regular file, as much as an answer can have.
func (w *Webroot) read(name string) (string, error) {
	info, err := w.root.Lstat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is there already, and %w", name, errIrregular)
	}
	f, err := w.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(io.LimitReader(f, 2*maxToken+2))
	return string(data), err
}

// write makes a file that is complete as soon as it has its name.
func (w *Webroot) write(name, text string) error {
	hidden := path.Join(path.Dir(name), "."+rand.Text()) // no token begins with a dot
	f, err := w.root.OpenFile(hidden, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close()) // whatever the umask
	if err == nil {
		err = w.root.Rename(hidden, name)
	}
	if err != nil {
		return errors.Join(err, w.root.Remove(hidden))
	}
	return nil
}

// remove removes the files that nobody wants any more.
func (w *Webroot) remove(tokens []string) error {
	var errs []error
	for _, token := range tokens {
		f := w.files[token]
		if f.wanted--; f.wanted > 0 {
			continue
		}
		delete(w.files, token)
		if !f.made {
			continue
		}
		name := path.Join(w.folder(), token)
		switch found, err := w.read(name); {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errIrregular), err == nil && found != f.keyAuthorization:
			continue // it is gone, or has become something else
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, w.root.Remove(name))
		}
	}
	return errors.Join(append(errs, w.tidy())...)
}

// tidy removes the folders that were made, as far as they are empty, and closes
// the root, if there are no files left.
func (w *Webroot) tidy() error {
	if len(w.files) > 0 || w.root == nil {
		return nil
	}
	var errs []error
	for _, folder := range slices.Backward(w.made) {
		errs = append(errs, w.removeFolder(folder))
	}
	w.made = nil
	errs = append(errs, w.root.Close())
	w.root = nil
	return errors.Join(errs...)
}

// removeFolder removes a folder, unless it has got something in it, or has
// become something else. The file system refuses the first, atomically.
func (w *Webroot) removeFolder(folder string) error {
	info, err := w.root.Lstat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
		return nil
	case err != nil:
		return err
	}
	err = w.root.Remove(folder)
	if errors.Is(err, fs.ErrExist) { // "directory not empty"; another process may have taken its file away since
		err = w.root.Remove(folder)
	}
	if err == nil || errors.Is(err, fs.ErrExist) || !w.isEmpty(folder) {
		return nil
	}
	return err
}

func (w *Webroot) isEmpty(folder string) bool {
	f, err := w.root.Open(folder)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // it was read
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}
