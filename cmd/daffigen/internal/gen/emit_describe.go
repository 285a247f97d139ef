package gen

import (
	"slices"

	"github.com/dave/jennifer/jen"
)

// namePairs are the names that the signature of m does not have, for people.
func namePairs(m *Method) (fields []jen.Code) {
	params := m.Params
	if m.Input != nil {
		params = append(slices.Clone(params), &m.Input.Param)
	}
	if list := namesLit(params); list != nil {
		fields = append(fields, pair("Params", list))
	}
	if list := namesLit(m.Results); list != nil {
		fields = append(fields, pair("Results", list))
	}
	return fields
}

// namesLit writes the names of params, nil if they have none.
func namesLit(params []*Param) *jen.Statement {
	var names []jen.Code
	named := false
	for _, p := range params {
		name := p.Name
		if name == "_" {
			name = ""
		}
		names = append(names, jen.Lit(name))
		named = named || name != ""
	}
	if !named {
		return nil
	}
	return jen.Index().String().Values(names...)
}

// textLit writes a comment as it stands in the source, each of its lines as a string of its own.
func textLit(lines []string) *jen.Statement {
	text := new(jen.Statement)
	for k, line := range lines {
		if k > 0 {
			text.Op("+").Line()
		}
		if k < len(lines)-1 {
			line += "\n"
		}
		text.Lit(line)
	}
	return text
}
