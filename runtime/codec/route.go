package codec

// RouteBy says that what was written since Len was from decides which provider gets the message: equal bytes reach the same one. Generated
// code calls it for //daffi:key. The last call counts.
func (e *Encoder) RouteBy(from int) { e.keyFrom, e.keyTo = from, len(e.b) }

// RouteKey is what RouteBy has marked, nil if it was not called. It is valid as long as Bytes.
func (e *Encoder) RouteKey() []byte {
	if e.keyTo == 0 {
		return nil
	}
	return e.b[e.keyFrom:e.keyTo]
}
