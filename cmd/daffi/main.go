// Command daffi is the operator's program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // schedules name time zones

	"github.com/alecthomas/kong"

	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/controller/boltstore"
)

type commands struct {
	Controller controllerCommand `cmd:"" help:"Run a controller in the foreground until it is interrupted."`
	Cert       certCommand       `cmd:"" help:"Make the certificates by which nodes and controllers know each other."`
	Token      tokenCommand      `cmd:"" help:"Make the tokens by which nodes without certificates are known."`
	ACL        aclCommand        `cmd:"" name:"acl" help:"Ask a policy, the file that says which node may do what."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// output is where a command writes: what it is asked for, and what it says about it.
type output struct{ stdout, stderr io.Writer }

// run returns the exit code: 0, or 1 if the command failed, or 2 if the command line makes no sense.
func run(args []string, stdout, stderr io.Writer) int {
	helped := false
	parser := kong.Must(&commands{},
		kong.Name("daffi"),
		kong.Description("Calls between Go processes through a controller."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // after --help, which otherwise goes on to parse
	)
	command, err := parser.Parse(args)
	switch {
	case helped:
		return 0
	case err != nil:
		complain(stderr, err)
		fmt.Fprintln(stderr, `run "daffi --help" for the commands and their flags`)
		return 2
	}
	if err := command.Run(output{stdout, stderr}); err != nil {
		if errors.Is(err, errDenied) {
			return 1
		}
		complain(stderr, err)
		if _, ok := errors.AsType[wrong](err); ok {
			return 2
		}
		return 1
	}
	return 0
}

type controllerCommand struct {
	Addr         string `placeholder:"ADDR" help:"Where to listen: tcp://127.0.0.1:8888 or unix:///path/of.sock; the default is a unix socket that nodes of this user find."`
	Name         string `placeholder:"NAME" help:"What nodes see; the default is \"controller\"."`
	TokenFile    string `placeholder:"FILE" type:"path" help:"File of the token that nodes on TCP must know; the default is one that nodes of this user find."`
	TokensFile   string `placeholder:"FILE" type:"path" help:"File of the hashes of several nodes' tokens and their names, for TLS without --tls-ca."`
	TLSCert      string `name:"tls-cert" placeholder:"FILE" type:"path" help:"File of the controller's certificate, for TLS, which every address needs that other hosts reach."`
	TLSKey       string `name:"tls-key" placeholder:"FILE" type:"path" help:"File of its key."`
	TLSCA        string `name:"tls-ca" placeholder:"FILE" type:"path" help:"File of the authorities that nodes need certificates of; without it nodes need tokens."`
	User         []int  `placeholder:"UID" help:"Another user whose nodes may join at a unix socket."`
	Insecure     string `placeholder:"REASON" help:"Why to listen without TLS where other hosts reach it."`
	Store        string `placeholder:"FILE" type:"path" help:"File that keeps schedules, so that they survive the controller; without it they end with it."`
	MaxMemory    size   `placeholder:"SIZE" help:"What the process may occupy, such as 256MiB; calls are refused before it does. The default is what its control group allows, and else no limit."`
	Policy       string `placeholder:"FILE" type:"path" help:"File that says which node may do what; without it every node may call and serve everything."`
	PolicyDryRun bool   `help:"Refuse nothing, and log what the policy would deny."`
	Verbose      bool   `short:"v" help:"Log more."`
}

// shutdownTimeout is how long nodes that take nothing hold up the end.
const shutdownTimeout = 5 * time.Second

func (c *controllerCommand) Run(out output) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	options := controller.Options{
		Addr: c.Addr, Name: c.Name, TokenFile: c.TokenFile, TokensFile: c.TokensFile, Users: c.User, Insecure: c.Insecure,
		Policy: c.Policy, PolicyDryRun: c.PolicyDryRun,
		Limits: controller.Limits{ProcessMemory: ceiling(int64(c.MaxMemory))},
		Logger: slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: level})),
	}
	if c.TLSCert != "" || c.TLSKey != "" || c.TLSCA != "" {
		options.TLS = &controller.TLS{CertFile: c.TLSCert, KeyFile: c.TLSKey, CAFile: c.TLSCA}
	}
	if c.Store != "" {
		store, err := boltstore.Open(c.Store)
		if err != nil {
			return err
		}
		defer store.Close()
		options.Store = store
	}
	ctl, err := controller.Listen(ctx, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "listening on %s\n", shown(ctl.Addr())) // scripts wait for this line
	<-ctx.Done()
	stop() // a second signal ends the process
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := ctl.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(out output) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	fmt.Fprintf(out.stdout, "daffi %s\n", version)
	return nil
}
