package gen

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What differs in long signatures is shown with what is around it; short ones are shown whole.
func TestApart(t *testing.T) {
	many := func(n int) string { return strings.Repeat("Größe int;", n) }
	for _, c := range []struct{ a, b, sends, takes string }{
		{"(string)()", "(int)()", "(string)()", "(int)()"},
		{
			"({" + many(30) + "Email string;" + many(30) + "})()", "({" + many(30) + "Email bytes;" + many(30) + "})()",
			"…öße int;Größe int;Größe int;Email string;Größe int;Größe int;Größe int;Grö…",
			"…öße int;Größe int;Größe int;Email bytes;Größe int;Größe int;Größe int;Grö…",
		},
		{"({" + many(30) + "})()", "({" + many(30) + "})($0)", "…;Größe int;Größe int;Größe int;})()", "…;Größe int;Größe int;Größe int;})($0)"},
		{"({" + many(30) + "})()", "({" + many(31) + "})()", "…int;Größe int;Größe int;Größe int;})()", "…int;Größe int;Größe int;Größe int;Größe int;})()"},
	} {
		sends, takes := apart(c.a, c.b)
		require.Equal(t, c.sends, sends)
		require.Equal(t, c.takes, takes)
	}
}
