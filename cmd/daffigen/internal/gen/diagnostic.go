package gen

import (
	"cmp"
	"fmt"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Code names one rule, DF001 and up. A rule keeps its number for ever; numbers of rules that are gone are not used again.
type Code int

// The rules. Their texts are in ruleTexts.
const (
	CodeSyntax        Code = 1
	CodeUnresolved    Code = 2
	CodePackage       Code = 3
	CodeHandWritten   Code = 4
	CodeTestFile      Code = 5
	CodeBuildTags     Code = 6
	CodeUnknownWord   Code = 10
	CodeNotYet        Code = 11
	CodePlacement     Code = 12
	CodeArgument      Code = 13
	CodeTimeout       Code = 14
	CodeTwice         Code = 15
	CodeConflict      Code = 16
	CodeSpace         Code = 17
	CodeNoInterface   Code = 20
	CodeGeneric       Code = 21
	CodeConstraint    Code = 22
	CodeUnexported    Code = 23
	CodeNoContext     Code = 24
	CodeNoError       Code = 25
	CodeSequence      Code = 26
	CodeUncheckedSeq  Code = 27
	CodePrepare       Code = 28
	CodeKey           Code = 29
	CodeType          Code = 30
	CodeMapKey        Code = 31
	CodeFieldName     Code = 32
	CodeSignature     Code = 33
	CodeTwoServices   Code = 40
	CodeMismatch      Code = 41
	CodeNoMethod      Code = 42
	CodeEachWhole     Code = 43
	CodeAliasTaken    Code = 44
	CodeNoCallback    Code = 45
	CodeSub           Code = 46
	CodeNameTaken     Code = 50
	CodeGeneratedName Code = 51
	CodeCodec         Code = 60
	CodeMessage       Code = 61
	CodeMessageName   Code = 62
	CodeErrorName     Code = 70
	CodeNoErrorValue  Code = 71
	CodeErrorTravels  Code = 72
	CodeMapFunc       Code = 75
	CodeMapSignature  Code = 76
)

// ruleTexts holds the text of every rule: what is wrong, then what to do.
var ruleTexts = map[Code]string{
	CodeSyntax:        "%s; fix the syntax, then run daffigen again",
	CodeUnresolved:    "%s; make it compile (go get, if a module is missing), then run daffigen again",
	CodePackage:       "%s; check the pattern and the module's go.mod",
	CodeHandWritten:   "%s was not written by daffigen and would be lost; rename it",
	CodeTestFile:      "%s is in a test file, and generated code is not; move it to a file that is no test, or to a package of its own",
	CodeBuildTags:     "%s is built %s, but %s at %s %s, and generated code is one file; put them into files with the same build constraint, or into two packages",
	CodeUnknownWord:   "unknown directive //daffi:%s; %s",
	CodeNotYet:        "//daffi:%s is not supported by this version of daffigen; remove it or use a newer version",
	CodePlacement:     "//daffi:%s has no effect here; %s",
	CodeArgument:      "//daffi:%s: %s",
	CodeTimeout:       "//daffi:timeout: %s; write a positive Go duration such as 5s or 1m30s",
	CodeTwice:         "//daffi:%s is said twice; keep one",
	CodeConflict:      "%s; %s",
	CodeSpace:         "a directive has no space after the slashes, and small letters; write //daffi:%s",
	CodeNoInterface:   "%s is annotated but is %s; %s",
	CodeGeneric:       "%s is generic, and a service needs fixed types; annotate an instantiation instead: type My%[1]s interface{ %[1]s[…] }",
	CodeConstraint:    "%s is a type constraint and cannot be called; leave only methods in it",
	CodeUnexported:    "method %s is unexported, so no other package could call or serve it; export it%s",
	CodeNoContext:     "%s does not take a context first; make its first parameter ctx context.Context%s",
	CodeNoError:       "%s does not return an error last; add error as its last result",
	CodeSequence:      "%s: %s",
	CodeUncheckedSeq:  "%s takes an iter.Seq, and a cut upload would look complete to it; take iter.Seq2[%s, error]",
	CodePrepare:       "%s; name it otherwise with prepare=, as in //daffi:fetcher %s prepare=Calls",
	CodeKey:           "%s: //daffi:key %s: %s",
	CodeType:          "%s: %s",
	CodeMapKey:        "%s: %s cannot be a map key on the wire; use a string, number or bool, or a struct or array of such",
	CodeFieldName:     "%s: two fields are called %q on the wire; change the tag of one",
	CodeSignature:     "the signature of %s cannot be compared with that of another version: %s; let it refer to fewer types, or send what it has as []byte",
	CodeTwoServices:   "two services are called %q, the other is %s at %s; give one another name with //daffi:callback name=…",
	CodeMismatch:      "%s %s, but %s at %s %s; make the two agree",
	CodeNoMethod:      "%s has no method %s (see %s)%s; add it there, or name the one to call with //daffi:alias",
	CodeEachWhole:     "%s: %s",
	CodeAliasTaken:    "%s already answers to %s at %s; choose another alias",
	CodeNoCallback:    "%s; %s",
	CodeSub:           "%s: %s",
	CodeNameTaken:     "daffigen needs the name %s for %s, but it is declared at %s; rename that, or the interface",
	CodeCodec:         "%s: %s",
	CodeMessage:       "%s cannot be a message: %s",
	CodeMessageName:   "the message %s gets a method DaffiMessage, but that name is declared at %s; rename what is there",
	CodeGeneratedName: "daffigen needs the name %s for %s and for %s; rename a method or an interface",
	CodeErrorName:     "//daffi:errors: %s: %s",
	CodeNoErrorValue:  "//daffi:errors: %s: %s",
	CodeErrorTravels:  "//daffi:errors: %s: %s",
	CodeMapFunc:       "//daffi:map: %s; %s",
	CodeMapSignature:  "//daffi:map: %s at %s is %s; for %s make it %s",
}

func (c Code) String() string { return fmt.Sprintf("DF%03d", int(c)) }

// Codes are all rules, sorted.
func Codes() []Code { return slices.Sorted(maps.Keys(ruleTexts)) }

// ParseCode reads DF012, df012 or 12.
func ParseCode(s string) (Code, bool) {
	if len(s) > 2 && strings.EqualFold(s[:2], "DF") {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 10, 16)
	_, known := ruleTexts[Code(n)]
	return Code(n), err == nil && known
}

// A Diagnostic is one thing that must be changed in the source before code can be generated.
type Diagnostic struct {
	Pos     token.Position // with an absolute file name
	Code    Code
	Message string
	Others  []token.Position // that Message names
}

// Format is "file.go:12:3: message [DF012]" with file names relative to dir.
func (d Diagnostic) Format(dir string) string {
	d = d.Relative(dir)
	if d.Pos.Filename == "" {
		return fmt.Sprintf("%s [%s]", d.Message, d.Code)
	}
	return fmt.Sprintf("%s: %s [%s]", d.Pos, d.Message, d.Code)
}

// Relative is d with file names relative to dir.
func (d Diagnostic) Relative(dir string) Diagnostic {
	d.Others = slices.Clone(d.Others)
	for k, other := range d.Others {
		name := relative(dir, other.Filename)
		d.Message = strings.ReplaceAll(d.Message, other.Filename, name)
		d.Others[k].Filename = name
	}
	d.Pos.Filename = relative(dir, d.Pos.Filename)
	return d
}

// separator stands between what is wrong and what to do.
const separator = "; "

// Problem is the part of the message that says what is wrong.
func (d Diagnostic) Problem() string {
	problem, _ := split(d.Message)
	return problem
}

// Cure is the part of the message that says what to do.
func (d Diagnostic) Cure() string {
	_, cure := split(d.Message)
	return cure
}

// split cuts a message at the last separator that is not within brackets, as that of struct{X int; Y int} is.
func split(message string) (problem, cure string) {
	depth := 0
	for k := len(message) - 1; k > 0; k-- {
		switch message[k] {
		case ')', ']', '}':
			depth++
		case '(', '[', '{':
			depth--
		case ';':
			if depth == 0 && strings.HasPrefix(message[k:], separator) {
				return message[:k], message[k+len(separator):]
			}
		}
	}
	return message, ""
}

// relative is name as seen from dir, or name itself where that is shorter.
func relative(dir, name string) string {
	if name == "" {
		return ""
	}
	if rel, err := filepath.Rel(dir, name); err == nil && len(rel) < len(name) {
		return rel
	}
	return name
}

// report collects the diagnostics of a run.
type report struct {
	fset *token.FileSet
	list []Diagnostic
}

// add reports that rule is broken at pos.
func (r *report) add(rule Code, pos token.Pos, args ...any) {
	r.addAt(rule, r.position(pos), args...)
}

func (r *report) addAt(rule Code, pos token.Position, args ...any) {
	d := Diagnostic{Pos: pos, Code: rule, Message: shown(fmt.Sprintf(ruleTexts[rule], args...))}
	for _, arg := range args {
		if other, ok := arg.(token.Position); ok {
			d.Others = append(d.Others, other)
		}
	}
	r.list = append(r.list, d)
}

// shown is a text of which a terminal shows what it says: what sources hold may be anything.
func shown(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }

// mentioned says that other is in the text of what was added last.
func (r *report) mentioned(other token.Position) {
	last := &r.list[len(r.list)-1]
	last.Others = append(last.Others, other)
}

func (r *report) position(pos token.Pos) token.Position { return r.fset.Position(pos) }

// sorted is the list by position, each entry once.
func (r *report) sorted() []Diagnostic {
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		return cmp.Or(
			comparePositions(a.Pos, b.Pos),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.CompactFunc(r.list, func(a, b Diagnostic) bool {
		return a.Pos == b.Pos && a.Code == b.Code && a.Message == b.Message
	})
}

// comparePositions orders by file name and place, so that nothing depends on the order in which files were read.
func comparePositions(a, b token.Position) int {
	return cmp.Or(
		cmp.Compare(a.Filename, b.Filename),
		cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Column, b.Column),
	)
}
