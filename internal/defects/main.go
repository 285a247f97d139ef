// Command defects shows that the tests would notice what they are there for: it plants each defect of testdata/defects in a copy of the project, runs the tests of
// the packages that the patch names, and wants some to fail. The same tests must pass in the copy as it is, and the copy with the defect must compile; else it proves nothing.
//
//	go run ./internal/defects [name]...
//
// Names are those of the patches without .patch; none means all. A line a defect says which tests have found it. The exit code is 1 if one was not found.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(".", os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "defects: %v\n", err)
		os.Exit(1)
	}
}

func run(root string, names []string, out io.Writer) (err error) {
	defects, err := load(root)
	if err != nil {
		return err
	}
	if defects, err = choose(defects, names); err != nil {
		return err
	}
	c, err := newCopy(root)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	if err := c.green(defects, out); err != nil {
		return err
	}
	missed := 0
	for _, d := range defects {
		found, err := c.plant(d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if len(found) == 0 {
			missed++
			fmt.Fprintf(out, "MISSED  %s: %s\n        breaks %s, and %s pass\n", d.name, d.about, strings.Join(d.rules, ", "), strings.Join(d.packages, " "))
			continue
		}
		fmt.Fprintf(out, "found   %s: %s\n        by %s\n", d.name, d.about, strings.Join(found, ", "))
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d defects were not noticed by any test", missed, len(defects))
	}
	fmt.Fprintf(out, "all %d defects were found\n", len(defects))
	return nil
}

// choose returns those of the names, or all if there are none.
func choose(all []defect, names []string) ([]defect, error) {
	if len(names) == 0 {
		if len(all) == 0 {
			return nil, fmt.Errorf("no patches in %s: run it where the module begins", patchDir)
		}
		return all, nil
	}
	var chosen []defect
	for _, name := range names {
		i := slices.IndexFunc(all, func(d defect) bool { return d.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no patch %q in %s", name, patchDir)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// A scratch is a copy of the project to plant defects in. All use the same one, so that what they do not touch is compiled once.
type scratch struct{ dir string }

// newCopy copies what git keeps, as it is in the working tree.
func newCopy(root string) (*scratch, error) {
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the project's files: %w", err)
	}
	dir, err := os.MkdirTemp("", "daffi-defects-")
	if err != nil {
		return nil, err
	}
	c := &scratch{dir}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if err := c.take(root, name); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return c, nil
}

func (c *scratch) take(root, name string) error {
	from := filepath.Join(root, name)
	info, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) { // removed, and not committed yet
		return nil
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	to := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// green says what fails without any defect.
func (c *scratch) green(defects []defect, out io.Writer) error {
	var packages []string
	for _, d := range defects {
		packages = append(packages, d.packages...)
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	fmt.Fprintf(out, "without a defect: %s\n", strings.Join(packages, " "))
	failed, text, err := c.test(packages)
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("without any defect these fail: %s\n%s", strings.Join(failed, ", "), text)
	}
	return err
}

// plant applies a defect, returns the tests that fail, and takes it back.
func (c *scratch) plant(d defect) (found []string, err error) {
	if err := c.apply(d); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.apply(d, "--reverse")) }()
	if text, err := c.goTool(append([]string{"test", "-run", "^$"}, d.packages...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("it does not compile any more, which shows nothing: %w\n%s", err, text)
	}
	found, _, err = c.test(d.packages)
	return found, err
}

// apply runs git apply in the copy, which is no repository and needs none.
func (c *scratch) apply(d defect, options ...string) error {
	cmd := exec.Command("git", append([]string{"apply", "--whitespace=nowarn"}, append(options, "-")...)...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(c.dir))
	cmd.Stdin = bytes.NewReader(d.patch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the patch does not apply any more: make it anew for the code of today: %w\n%s", err, text)
	}
	return nil
}

func (c *scratch) goTool(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = c.dir
	return cmd
}

// event is a line of go test -json.
type event struct{ Action, Package, Test, Output string }

// test returns the names of the tests that fail, or of the package where no test of it can be blamed, and what they print.
func (c *scratch) test(packages []string) (failed []string, text string, err error) {
	cmd := c.goTool(append([]string{"test", "-json", "-count=1", "-failfast", "-timeout", "5m"}, packages...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	failed, text, parseErr := failures(out)
	switch {
	case parseErr != nil:
		return nil, "", parseErr
	case err != nil && len(failed) == 0:
		return nil, "", fmt.Errorf("running the tests: %w\n%s", err, &stderr)
	}
	return failed, text, nil
}

// failures reads the output of go test -json.
func failures(out []byte) (failed []string, text string, err error) {
	var tests, packages []string
	printed := map[string]*strings.Builder{} // by package and test, with those below it
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, "", fmt.Errorf("reading what go test says: %w", err)
		}
		test, _, below := strings.Cut(e.Test, "/")
		key := e.Package + " " + test
		if printed[key] == nil {
			printed[key] = new(strings.Builder)
		}
		switch {
		case e.Action == "output":
			printed[key].WriteString(e.Output)
		case e.Action == "fail" && test == "":
			packages = append(packages, filepath.Base(e.Package))
			text += printed[key].String()
		case e.Action == "fail" && !below:
			tests = append(tests, test)
			text += printed[key].String()
		}
	}
	if len(tests) > 0 {
		return tests, text, nil
	}
	return packages, text, nil
}
