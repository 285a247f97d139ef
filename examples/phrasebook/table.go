package phrasebook

import "fmt"

// Table is a codec that sends a few known strings as the short codes that stand for them, and no others.
type Table struct {
	codes, phrases map[string]string
}

// NewTable makes a Table of phrases and their codes. Two phrases must not have the same code.
func NewTable(codes map[string]string) (*Table, error) {
	t := &Table{codes: codes, phrases: make(map[string]string)}
	for phrase, code := range codes {
		if other, taken := t.phrases[code]; taken {
			return nil, fmt.Errorf("%q and %q have the same code %q", min(phrase, other), max(phrase, other), code)
		}
		t.phrases[code] = phrase
	}
	return t, nil
}

// ID implements codec.Codec.
func (*Table) ID() byte { return 40 }

// Name implements codec.Codec.
func (*Table) Name() string { return "phrases" }

// Marshal implements codec.Codec for strings.
func (t *Table) Marshal(dst []byte, v any) ([]byte, error) {
	phrase, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("a string expected, not a %T", v)
	}
	code, ok := t.codes[phrase]
	if !ok {
		return nil, fmt.Errorf("%q is not in the table; add it on both sides", phrase)
	}
	return append(dst, code...), nil
}

// Unmarshal implements codec.Codec for strings.
func (t *Table) Unmarshal(data []byte, v any) error {
	to, ok := v.(*string)
	if !ok {
		return fmt.Errorf("a pointer to a string expected, not a %T", v)
	}
	phrase, ok := t.phrases[string(data)]
	if !ok {
		return fmt.Errorf("the code %q is not in the table; add it on both sides", data)
	}
	*to = phrase
	return nil
}
