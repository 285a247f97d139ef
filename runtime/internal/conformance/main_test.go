package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/daffi-rpc/daffi/runtime/controller"
)

// childAddr tells a child of the test where its controller listens; it ends with its standard input.
const childAddr = "CONFORMANCE_CONTROLLER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(childAddr); addr != "" {
		if err := runController(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Where tokens are found, and sockets; short, since the path of a socket has little room.
	dir, err := os.MkdirTemp("", "conf")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv("XDG_RUNTIME_DIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runController(addr string) error {
	ctl, err := controller.Listen(context.Background(), controller.Options{Addr: addr})
	if err != nil {
		return err
	}
	fmt.Println(ctl.Addr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return ctl.Close()
}
