package main

import (
	"google.golang.org/protobuf/proto"

	"github.com/daffi-rpc/daffi/bench/echopb"
)

// newPB is newItem for the systems that carry protocol buffers: what daffigen is to daffi, protoc-gen-go is to them.
func newPB(size int) *echopb.Item {
	item := newItem(size)
	return &echopb.Item{Id: item.ID, Name: item.Name, Tags: item.Tags, Data: item.Data}
}

// samePB is sameItem for them.
func samePB(in, out *echopb.Item) error {
	if in.Id != out.Id || len(in.Data) != len(out.Data) || in.Id == firstID && !proto.Equal(in, out) {
		return errWrong
	}
	return nil
}
