package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

type tokenCommand struct {
	New tokenNewCommand `cmd:"" help:"Make a token: a file that a node has, and for a controller that knows several its hash."`
}

type tokenNewCommand struct {
	Pattern string `arg:"" optional:"" name:"name" help:"Which node may join with it, or nodes: * stands for any letters. Without it the token is for a controller that has one for all."`
	Out     string `required:"" placeholder:"FILE" help:"Where to put the token; a file that is there stays."`
	Tokens  string `placeholder:"FILE" help:"The controller's file of hashes, to which the entry for NAME is added; without it the entry is printed."`
}

// Run never shows the token itself, which is in the file alone.
func (c *tokenNewCommand) Run(out output) error {
	if c.Pattern == "" && c.Tokens != "" {
		return errors.New("--tokens: say which node may join with the token, as in: daffi token new 'shop-*' --out FILE --tokens FILE")
	}
	if err := transport.ValidName(strings.ReplaceAll(c.Pattern, "*", "a")); c.Pattern != "" && err != nil {
		return fmt.Errorf("name %q: with letters in place of each *, %w", c.Pattern, err)
	}
	token, err := transport.MakeToken(c.Out)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and stays: remove it, or choose another file", c.Out)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Out, err)
	}
	if c.Pattern == "" {
		fmt.Fprintf(out.stderr, "%s: a token; give the file to the controller (--token-file) and to its nodes (DAFFI_TOKEN_FILE, or daffi.Options.TokenFile)\n", shown(c.Out))
		return nil
	}
	entry := fmt.Sprintf("%x %s\n", sha256.Sum256(token), c.Pattern)
	if c.Tokens == "" {
		fmt.Fprint(out.stdout, entry)
		fmt.Fprintf(out.stderr, "%s: a token for %s; the line is its hash, for the controller's file of tokens (--tokens-file)\n", shown(c.Out), c.Pattern)
		return nil
	}
	if err := appendLine(c.Tokens, entry); err != nil {
		return errors.Join(fmt.Errorf("adding the hash to the controller's file of tokens: %w", err), os.Remove(c.Out))
	}
	fmt.Fprintf(out.stderr, "%s: a token for %s; its hash is in %s, which a controller with --tokens-file reads again by itself\n", shown(c.Out), c.Pattern, shown(c.Tokens))
	return nil
}

// appendLine adds a line to a file, which is made if it is not there, in one write: whoever reads the file meanwhile sees all of it or nothing.
func appendLine(file, line string) (err error) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", file)
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	return err
}
