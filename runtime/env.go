package daffi

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// DefaultAddr is the address at which the nodes and the controller of one application of this user meet: a unix socket named after it, in the directory of the default
// one ([Options.Addr]), which is made if need be. The same text works on every system; Windows has such sockets from version 10 on. The name has the letters of a
// node's name.
func DefaultAddr(app string) (string, error) {
	if err := transport.ValidName(app); err != nil {
		return "", &Error{Code: InvalidArgument, Outcome: NotRun, Message: fmt.Sprintf("DefaultAddr(%q): %v", app, err), cause: err}
	}
	dir, err := transport.RuntimeDir()
	if err != nil {
		return "", &Error{Code: FailedPrecondition, Outcome: NotRun, Message: err.Error(), cause: err}
	}
	addr, err := transport.ParseAddr("unix://" + filepath.Join(dir, app+".sock"))
	if err != nil {
		return "", &Error{Code: InvalidArgument, Outcome: NotRun, Message: err.Error(), cause: err}
	}
	return addr.String(), nil
}

// envPrefix begins the names of all variables that [ConfigFromEnv] looks at.
const envPrefix = "DAFFI_"

// envVars returns those that there are, and what they change. It is no variable: that would link package crypto/tls to every program.
func envVars() map[string]func(o *Options, value string) error {
	return map[string]func(o *Options, value string) error{
		"DAFFI_ADDR": func(o *Options, value string) error {
			_, err := transport.ParseAddr(value)
			o.Addr = value
			return err
		},
		"DAFFI_NAME": func(o *Options, value string) error {
			o.Name = value
			return transport.ValidName(value)
		},
		"DAFFI_TOKEN_FILE": func(o *Options, value string) error {
			o.TokenFile = value
			return nil
		},
		"DAFFI_LOG":      logFromEnv,
		"DAFFI_TLS_CERT": func(o *Options, value string) error { tlsFromEnv(o).CertFile = value; return nil },
		"DAFFI_TLS_KEY":  func(o *Options, value string) error { tlsFromEnv(o).KeyFile = value; return nil },
		"DAFFI_TLS_CA": func(o *Options, value string) error {
			if t := tlsFromEnv(o); value != systemAuthorities {
				t.CAFile = value
			}
			return nil
		},
		"DAFFI_INSECURE": func(o *Options, value string) error { o.Insecure = value; return nil },
	}
}

// systemAuthorities is what DAFFI_TLS_CA says for an empty CAFile.
const systemAuthorities = "system"

func tlsFromEnv(o *Options) *TLS {
	t, _ := o.TLS.(*TLS)
	if t == nil {
		t = new(TLS)
		o.TLS = t
	}
	return t
}

func logFromEnv(o *Options, value string) error {
	if value == "off" {
		return nil
	}
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, value) || level.UnmarshalText([]byte(value)) != nil {
		return errors.New("want debug, info, warn, error or off")
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	return nil
}

// ConfigFromEnv makes options of the environment: DAFFI_ADDR, DAFFI_NAME, DAFFI_TOKEN_FILE, as the options of those names, and DAFFI_LOG, which is debug, info, warn, error or off
// and logs to standard error. DAFFI_TLS_CERT, DAFFI_TLS_KEY and DAFFI_TLS_CA are the files of Options.TLS, the last of them "system" for the authorities of the system, and DAFFI_INSECURE is
// Options.Insecure. A variable that is not set, or empty, leaves the option as it is by default; any other name that begins with DAFFI_ is refused, lest a misspelt one be overlooked. The error, InvalidArgument, tells of all that is wrong.
func ConfigFromEnv() (Options, error) {
	var o Options
	var wrong []error
	vars := envVars()
	for _, entry := range slices.Sorted(slices.Values(os.Environ())) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || value == "" {
			continue
		}
		set := vars[name]
		if set == nil {
			wrong = append(wrong, fmt.Errorf("%s is no variable of daffi; did you mean %s?", name, nearest(name, slices.Sorted(maps.Keys(vars)))))
		} else if err := set(&o, value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s=%s: %w", name, value, err))
		}
	}
	if len(wrong) > 0 {
		err := errors.Join(wrong...)
		return Options{}, &Error{Code: InvalidArgument, Outcome: NotRun, Message: "environment: " + strings.ReplaceAll(err.Error(), "\n", "; "), cause: err}
	}
	return o, nil
}

// nearest is the one of names that takes the fewest insertions, deletions and replacements of letters to become name.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
