package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATS: request and reply of its core, the server in a third process. It carries bytes; they are made by the hand-written codec.
var natsSystems = []system{
	{name: natsTCP, network: "tcp", stream: true, broker: natsBroker, server: natsServer, client: natsClient},
}

func natsBroker(_ context.Context, addr string) (string, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return "", err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: host, Port: port, NoLog: true, NoSigs: true})
	if err != nil {
		return "", err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return "", errors.New("the NATS server did not start")
	}
	return s.ClientURL(), nil
}

// natsServer serves echo, and up and down: each a request, then a stream of messages that are acknowledged by the piece, as core NATS
// drops what a receiver is too slow for.
func natsServer(_ context.Context, addr string) (string, error) {
	nc, err := nats.Connect(addr)
	if err != nil {
		return "", err
	}
	var subs natsSubs
	subs.add(nc, "echo", func(m *nats.Msg) error {
		item, err := parseItem(m.Data)
		if err != nil {
			return err
		}
		return m.Respond(appendItem(nil, &item))
	})
	subs.add(nc, "up", func(m *nats.Msg) error {
		n, _ := parseWant(m.Data)
		inbox := nats.NewInbox()
		in, err := natsReceive(nc, inbox, n)
		if err != nil {
			return err
		}
		go func() {
			if in.wait(context.Background()) == nil {
				nc.Publish(inbox+".done", nil)
			}
		}()
		return m.Respond([]byte(inbox))
	})
	subs.add(nc, "down", func(m *nats.Msg) error {
		n, size := parseWant(m.Data)
		go natsSend(context.Background(), nc, m.Reply, n, size) // the receiver counts
		return nil
	})
	return addr, errors.Join(subs.err, nc.Flush())
}

type natsSubs struct{ err error }

func (s *natsSubs) add(nc *nats.Conn, subject string, f func(*nats.Msg) error) {
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		if err := f(m); err != nil {
			panic(err) // which the parent reports
		}
	})
	s.err = errors.Join(s.err, err)
}

const (
	natsPiece  = 1 << 20 // bytes that are acknowledged together
	natsPieces = 4       // that may be under way
)

// natsSend publishes n items.
func natsSend(ctx context.Context, nc *nats.Conn, subject string, n, size int) error {
	acks := make(chan *nats.Msg, natsPieces)
	inbox := nats.NewInbox()
	sub, err := nc.ChanSubscribe(inbox, acks)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	item := newItem(size)
	var b []byte
	each := max(1, natsPiece/size)
	under := 0
	for i := range n {
		item.ID++
		b = appendItem(b[:0], &item)
		if (i+1)%each != 0 {
			if err := nc.Publish(subject, b); err != nil {
				return err
			}
			continue
		}
		if err := nc.PublishRequest(subject, inbox, b); err != nil {
			return err
		}
		if under++; under < natsPieces {
			continue
		}
		select {
		case <-acks:
			under--
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// natsReceiver counts what arrives.
type natsReceiver struct {
	sub  *nats.Subscription
	done chan struct{}
	err  error // set before done is closed
}

func natsReceive(nc *nats.Conn, subject string, n int) (*natsReceiver, error) {
	r := &natsReceiver{done: make(chan struct{})}
	var err error
	r.sub, err = nc.Subscribe(subject, func(m *nats.Msg) {
		if n <= 0 {
			return
		}
		if _, err := parseItem(m.Data); err != nil {
			n, r.err = 0, err
			close(r.done)
			return
		}
		if m.Reply != "" {
			m.Respond(nil)
		}
		if n--; n == 0 {
			close(r.done)
		}
	})
	return r, err
}

func (r *natsReceiver) wait(ctx context.Context) error {
	defer r.sub.Unsubscribe()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

type natsCaller struct{ nc *nats.Conn }

func natsClient(_ context.Context, addr string) (client, error) {
	nc, err := nats.Connect(addr)
	return natsCaller{nc: nc}, err
}

func (c natsCaller) caller(size int) func(context.Context) error {
	in := newItem(size)
	var b []byte
	return func(ctx context.Context) error {
		in.ID++
		b = appendItem(b[:0], &in)
		m, err := c.nc.RequestWithContext(ctx, "echo", b)
		if err != nil {
			return err
		}
		out, err := parseItem(m.Data)
		if err != nil {
			return err
		}
		return sameItem(&in, &out)
	}
}

func (c natsCaller) up(ctx context.Context, n, size int) error {
	m, err := c.nc.RequestWithContext(ctx, "up", packWant(n, size))
	if err != nil {
		return err
	}
	inbox := string(m.Data)
	done, err := c.nc.SubscribeSync(inbox + ".done")
	if err != nil {
		return err
	}
	defer done.Unsubscribe()
	if err := natsSend(ctx, c.nc, inbox, n, size); err != nil {
		return err
	}
	_, err = done.NextMsgWithContext(ctx)
	return err
}

func (c natsCaller) down(ctx context.Context, n, size int) error {
	inbox := nats.NewInbox()
	r, err := natsReceive(c.nc, inbox, n)
	if err != nil {
		return err
	}
	if err := c.nc.PublishRequest("down", inbox, packWant(n, size)); err != nil {
		return err
	}
	return r.wait(ctx)
}
