// Command planner schedules a backup, lists what is scheduled, or cancels it. It leaves at once: the controller does the rest.
//
//	planner [-addr tcp://localhost:8888] every 1h photos
//	planner [-addr …] cron "30 3 * * *" photos
//	planner [-addr …] list
//	planner [-addr …] cancel photos
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/daffi-rpc/daffi/examples/schedule"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "planner:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := daffi.Options{Name: "planner"} // schedules belong to a name
	flag.StringVar(&o.Addr, "addr", "", "`address` of the controller; the default is a unix socket of this user")
	flag.Parse()
	node, err := daffi.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer node.Close()
	switch what := flag.Arg(0); {
	case what == "every" && flag.NArg() == 3:
		d, err := time.ParseDuration(flag.Arg(1))
		if err != nil {
			return err
		}
		return plan(ctx, node, daffi.Every(d), flag.Arg(2))
	case what == "cron" && flag.NArg() == 3:
		return plan(ctx, node, daffi.Cron(flag.Arg(1)), flag.Arg(2))
	case what == "list" && flag.NArg() == 1:
		return list(ctx, node)
	case what == "cancel" && flag.NArg() == 2:
		ended, err := node.CancelTask(ctx, flag.Arg(1))
		if err == nil {
			fmt.Println("ended now:", ended)
		}
		return err
	}
	return fmt.Errorf("want every, cron, list or cancel with their arguments")
}

// plan schedules the backup under its own name, so that to do it twice makes one schedule.
func plan(ctx context.Context, node *daffi.Node, p daffi.Plan, what string) error {
	task, err := schedule.NewBackup(node).Prepare().Save(what).Schedule(ctx, p.WithID(what))
	if err != nil {
		return err
	}
	fmt.Printf("%s: %v\n", task.ID(), p)
	return nil
}

func list(ctx context.Context, node *daffi.Node) error {
	tasks, err := node.Tasks(ctx, daffi.TaskFilter{})
	for _, t := range tasks {
		fmt.Printf("%s: %s, %d runs", t.ID, t.Plan, t.Runs)
		if t.Last != nil && t.Last.Err != nil {
			fmt.Printf(", the last failed: %v", t.Last.Err)
		}
		fmt.Println()
	}
	return err
}
