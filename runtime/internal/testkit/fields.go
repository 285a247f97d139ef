package testkit

import (
	"reflect"
	"strings"
	"testing"
)

// EveryField runs tests that are each named by an id and the field of T that it is about, and fails for a field without one.
func EveryField[T any](t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	fields := reflect.TypeFor[T]()
	tested := map[string]bool{}
	for name, test := range tests {
		_, field, _ := strings.Cut(name, " ")
		if _, ok := fields.FieldByName(field); !ok {
			t.Fatalf("%s: %v has no such field", name, fields)
		}
		tested[field] = true
		t.Run(name, test)
	}
	for i := range fields.NumField() {
		if name := fields.Field(i).Name; !tested[name] {
			t.Fatalf("%v.%s has no test of its effect", fields, name)
		}
	}
}
