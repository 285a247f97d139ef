package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// patchDir has the planted defects, one in a file.
const patchDir = "testdata/defects"

// A defect is a patch that makes the project wrong in one way.
type defect struct {
	name     string   // of the file, without .patch
	about    string   // what is wrong with it
	rules    []string // ids of what it breaks
	packages []string // whose tests must notice, as the go command takes them
	patch    []byte
}

// load reads all defects of a project, in the order of their names.
func load(root string) ([]defect, error) {
	files, err := filepath.Glob(filepath.Join(root, patchDir, "*.patch"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []defect
	for _, file := range files {
		patch, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d, err := parse(strings.TrimSuffix(filepath.Base(file), ".patch"), patch)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// parse reads the words before the patch proper: lines of the form "Defect: …", "Breaks: id, id" and "Packages: ./a ./b".
func parse(name string, patch []byte) (defect, error) {
	d := defect{name: name, patch: patch}
	head, _, ok := bytes.Cut(patch, []byte("\ndiff --git "))
	if !ok {
		return d, fmt.Errorf("%s: no \"diff --git\" in it: make it with git diff, below the lines Defect, Breaks and Packages", name)
	}
	lines := bufio.NewScanner(bytes.NewReader(head))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ": ")
		if !ok {
			continue
		}
		switch key {
		case "Defect":
			d.about = value
		case "Breaks":
			d.rules = strings.Split(value, ", ")
		case "Packages":
			d.packages = strings.Fields(value)
		default:
			return d, fmt.Errorf("%s: line %q: want Defect, Breaks or Packages", name, lines.Text())
		}
	}
	if d.about == "" || len(d.rules) == 0 || len(d.packages) == 0 {
		return d, fmt.Errorf("%s: the lines Defect, Breaks and Packages must all be there", name)
	}
	return d, lines.Err()
}
