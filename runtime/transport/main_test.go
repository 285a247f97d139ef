package transport

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(starterEnv); path != "" {
		starter(path)
		return
	}
	goleak.VerifyTestMain(m)
}
