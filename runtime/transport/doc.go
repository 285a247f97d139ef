// Package transport carries frames between a node and its controller.
//
// It knows bytes, frames, links and their limits, and nothing of services, names or handlers: package daffi (the node) and
// package controller give the frames their meaning. A [Link] takes frames in and delivers the peer's frames to a [Handler]. There are
// two: [NewConn] over a stream connection (TCP, unix socket, anything that is a net.Conn), and [Pipe], which joins two ends in one process
// without making bytes of the headers.
//
// # Frame
//
// All numbers are little-endian. A frame is a header of 32 bytes and a payload:
//
//	offset size field
//	 0     4   length  of the payload, in bytes; at most 65 792 (LIM-5: 64 KiB of content and 256 bytes for what wraps it),
//	                   before authentication 4 096 (LIM-1)
//	 4     1   kind    see below; an unknown one is skipped if its flag Optional is set, else the link is closed (see Later versions)
//	 5     1   flags   1 Large, 2 Zstd, 4 Bulk, 8 More, 16 End, 32 Meta, 64 Broken, 128 Optional
//	 6     1   depth   of a Request: calls within calls so far, at most 32 (LIM-20)
//	 7     1   mode    of a Request: 1 Oneway, 2 Input, 4 Output, 8 Each, 16 Keyed, 32 Tagged, 64 Wide
//	 8     8   call    the call that the frame belongs to, else 0
//	16     4   route   of a Request: what is called (see Routes), else 0
//	20     4   peer    of a Request: towards the controller the session number of the wanted node or 0 for any, towards the callee
//	                   that of the caller; it is written by the controller alone. With Keyed, towards the controller, the hash of a key
//	                   (see Keys). Where the choice of the route says apart, towards the controller, one more than the slot of a call
//	                   on this link: not to whom that went, if it is under way. Of a Peer frame: the session it introduces
//	24     8   arg     Request: remaining time in nanoseconds, 0 for none; whoever holds it back subtracts how long. Credit, Grant: bytes. Ping, Pong: any number. Peer: 1 if the
//	                   controller itself makes the calls (see Peers). Else 0
//
// A length over the limit is a protocol error and closes the link; nothing of it is skipped over. Fields that a kind does not use are 0 and
// not looked at.
//
// A call is named by 64 bits: the low 20 are a slot in a table of the side that opened the call on this link, the high 44 the slot's
// generation, from 1. The caller opens a call towards the controller; the controller opens one towards the callee, whose id
// has its highest bit set ([Served]), and translates between the two. An id is never used twice on one link, so what comes late for a call that has ended is
// recognised, counted and dropped. Whoever opens calls may use a slot again as soon as it has sent the Cancel of the call before. That Cancel
// may be overtaken (see Order), so a Request of a later generation ends the call that is in its slot, and one of an earlier generation
// was cancelled before it came and is dropped as late.
//
// Slots are below 65 536. Whoever opens calls takes the lowest ones that are free, but they need not come in that order: some requests wait in another lane, some find no room and never come. So a receiver
// accepts any, and should not reserve memory for those before it.
//
// # Messages, large messages
//
// The message of a call is its arguments, its results, or one item of a stream. One that fits into a frame is its
// payload. A larger one, up to LIM-6 (4 MiB), is announced by its frame with the flag Large, whose payload is the message's length as
// 4 bytes; the receiver reserves that length in the assembly budget of its link, 16 MiB, and answers Grant; then the sender sends the
// message in Chunk frames of at most 64 KiB, all but the last with the flag More. A call has at most one announced message in each
// direction. What is announced waits for room in order of arrival and holds nothing meanwhile, so half-assembled messages cannot wait for
// each other. A length over the limit is answered by an Error for that call, before anything is sent.
//
// A Grant is for as many bytes more as its arg says, or for the whole message if that is 0. A message above the assembly budget, where the limit is
// raised so far, reserves 4 MiB of it and memory of its own, and is granted in steps: 4 MiB at first, and more when half of what was granted
// has come. A link has one such message on its way at a time. So never more than the budget is under way to a link, however long its messages are.
//
// With the flag Meta a Request's message, or a Reply's, begins with metadata: 2 bytes of length, then a MessagePack map of strings, at most 8 KiB
// and 64 keys (LIM-9). With the flag Zstd the rest of the message is one zstd frame (window at most 1 MiB, content at most LIM-6
// when unpacked, LIM-7); of a Data frame the whole payload is, and what it is unpacked to is no longer than the payload of a frame may be (LIM-5), since longer items are announced. The controller passes both through as they are.
//
// With the mode Tagged a Request's message begins, before metadata and never compressed, with a tag. Its first byte says what it holds: the low 4 bits are the
// attempt, 0 for the first; 16: the call's key follows, 16 bytes, the same in all attempts; 32: the turns that the call's ancestors hold
// follow, a byte that is their number, from 1 to 32, and 8 bytes for each; 64: the caller takes metadata with the call's end, in a Reply or as the last element of a failure, which is never sent to
// others. The other bit is 0, and a receiver refuses a call in which they are not. Plain calls
// have no tag.
//
// A Cancel may say why, as the payload of an Error frame does of a failure: its code is that of a cancelled context or of a deadline, and the node is the
// one where the reason lies, however many calls up. At most 1 KiB of it is passed on, and where the queue is filled by half, none.
//
// # Keys
//
// Requests with the mode Keyed and equal hashes go to the same provider of a route: the one with the highest score. A score is
//
//	mix(mix(FNV-1a-64(name of the node)) xor hash × 0x9e3779b97f4a7c15)
//
// in 64 bits without sign, where mix is the finalizer of MurmurHash3: x ^= x>>33, x *= 0xff51afd7ed558ccd, x ^= x>>33, x *= 0xc4ceb9fe1a85ec53,
// x ^= x>>33. So a provider that leaves or comes moves no keys but its own, and names decide, not sessions. The hash of a key is the upper half of
// mix(FNV-1a-64(its MessagePack encoding)).
//
// # Streams and credit
//
// A Data frame carries one or many items of a stream: each a length (unsigned varint) and that many bytes. The flag End says that the
// input is complete after this frame, End and Broken that it broke, with an error (the payload of an Error frame) instead of items; an
// output ends with the call's Reply or Error.
//
// Every stream direction starts with a credit of 1 KiB, but for an output whose Request has the mode Wide: that starts with 16 KiB. A Data frame costs max(payload, 256)
// bytes of it, whatever the number of items, and is sent only if the credit reaches; an End without items, or with Broken, costs nothing and comes once.
// The receiver gives credit back by Credit frames as its consumer takes items, at the latest when half the window was taken. A window never shrinks. One of less than
// 16 KiB grows that far when half of it was used, and any up to 1 MiB while the consumer waits for the sender.
//
// All windows of a link come out of one budget of 16 MiB (LIM-13). 1 KiB of it is kept for each of the 10 240 stream directions that a node may receive on a link (LIM-12): one
// more is refused with ResourceExhausted/busy. Windows grow out of what is left, none beyond a quarter of it, so that those that come late find something, and none is ever without its 1 KiB. Beyond 16 KiB
// they may grow into half of what is kept for streams that are not there; where those come after all and find nothing, they are refused as well.
//
// The controller accounts for all of this as well, and ends a call of which one side sends more than the other has granted, at both ends, with Internal/protocol: what is beyond credit
// or a reservation reaches nobody.
//
// An item that costs more than half of the largest credit the sender has had, and for which the credit does not reach, is announced by a
// Data frame of its own with the flag Large. It costs no credit: it is granted when the consumer has taken what came before it, and
// tells the receiver to widen the window.
//
//	       Request             Data… End            Reply | Error
//	idle ───────────▶ open ───────────────▶ half ───────────────▶ ended
//	                   │ Stop: the callee wants no more input      ▲
//	                   └── Cancel (caller), Reply | Error ─────────┘
//
// # Kinds
//
// N is a node, C the controller. A handshake frame counts against the limits of the unauthenticated; control frames are answered or
// refused one for one and bounded by LIM-15; the others are charged as said, so that no queue grows without a bound. "Full" is what
// happens when the queue towards the destination has no room (LIM-14); for Requests towards a callee, when their caller has as much in it as is left free, and it is
// filled by more than a quarter.
//
//	 n kind       from  charged against                      full
//	 1 Hello      N     unauthenticated socket, 5 s          closed
//	 2 Challenge  C     the same                             closed
//	 3 Proof      N     the same                             closed
//	 4 Welcome    C     the same                             closed
//	 5 Refuse     C     the same                             closed
//	 8 Ping       both  one outstanding                      link closed
//	 9 Pong       both  answers one Ping                     link closed
//	10 Goodbye    both  once; the link closes after it       link closed
//	11 Drain      both  once from N, answered once by C      link closed
//	12 Ack        both  one for 256 KiB or 100 ms            cannot be: it goes ahead of what waits
//	13 Resume     both  like a Hello; answered once by C     closed
//	16 Control    both  LIM-15 outstanding; with More an     link closed
//	                    answer goes on in another frame
//	17 Peer       C     twice per pair of sessions           link closed
//	32 Request    both  queue of the destination             ResourceExhausted/busy, NotRun
//	33 Accepted   C     answers a Oneway request, once a     link closed
//	                    provider was found or, where the
//	                    choice of the route says so, has
//	                    answered it with a Reply
//	34 Reply      both  queue of the destination             Error ResourceExhausted/busy, Ran
//	35 Error      both  answers a Request                    link closed
//	36 Data       both  the stream's credit                  more was granted than a link may: Error ResourceExhausted/busy
//	37 Chunk      both  the granted reservation              the same
//	38 Credit     both  the stream                           Error ResourceExhausted/busy
//	39 Cancel     both  the call; from the caller's side     link closed
//	40 Stop       both  the call; once, from the callee      Error ResourceExhausted/busy
//	41 Grant      both  the announced message                Error ResourceExhausted/busy
//
// # Handshake
//
// Fixed binary layout, no compression, no codec; bytes after it belong to a later version. Strings are a length byte and that many bytes.
//
//	Hello      "DAFF" u8 version=1 u8 features(1 zstd, 2 resume) [16]session [8]incarnation [32]nonce string name
//	Challenge  u8 version u8 features u8 auth(0 none, 1 token, 2 token over TLS) [32]nonce [32]proof
//	Proof      [32]proof
//	Welcome    u32 session number, [16]controller incarnation, u32 ping ms, u32 dead ms, u32 message limit, string controller name
//	Refuse     u8 code string reason, u16 length and message
//	Resume     u8 version=1 u32 session number [16]controller incarnation u64 attempt u64 received [32]proof
//
// The node speaks first. The Challenge proves the controller's token: HMAC-SHA256(token, "daffi controller" u16 length of the Hello-payload,
// Hello-payload, Challenge-payload without its proof). The node checks it before it answers with HMAC-SHA256(token, "daffi node" u16 length of the
// Hello-payload, Hello-payload, Challenge-payload). The token
// itself is never sent then, and both proofs cover everything said so far. With auth 0 the proofs are zero bytes and are not looked at: the system, or the
// certificate that the node has shown, says who it is. With auth 2 the controller's proof is zero bytes, and the node's is the token itself, of which the controller knows a
// hash; a node answers so only over TLS, to a controller whose certificate it has verified.
//
// # TLS
//
// A connection over TCP may be one of TLS, of which both sides know beforehand: version 1.3, protocol name (ALPN) "daffi/1", no session tickets, no resumption of sessions of TLS. A controller either asks
// for a certificate of the node, and then auth is 0, or for none, and then auth is 1 or 2. Who a certificate names stands in the one URI of its alternative names,
// daffi://cluster/name, byte for byte; the name of the Hello must be that name. Frames are its content as they are otherwise the connection's; records and frames have nothing to do with each other. Nobody waits
// for a close_notify. A controller that expects TLS and is sent a Hello or a Resume answers with a Refuse in clear.
// A session is a name, 128 random bits, and an incarnation that its process counts up with every link it makes.
//
// # Resumption
//
// A link is resumable if the Hello offers that feature and the Challenge takes it up. Then the bytes of its frames, headers included, are numbered in each direction from
// 0, beginning with the first frame after the Welcome, towards the controller with the first after the Proof. Frames of the handshake, Ack and Resume do not count and carry no number:
// order is enough. Each side keeps what it has sent until the other has acknowledged it. An Ack says in arg up to which
// offset its sender has received and delivered whole frames; it is sent for every 256 KiB, and else 100 ms after something new came. An
// offset beyond what was sent, or before an earlier one, is a protocol error. So is an Ack on a link that is not resumable.
//
// When the connection has ended, was reset, or was silent for the dead interval, both sides drop the frame that has come in part, and the session stays for a while: 500 ms or four
// round trips, after silence 5 s. Meanwhile the node connects again and sends, in place of a Hello, a Resume: the session's number and the controller's incarnation, both of the Welcome, an
// attempt, which counts up from 1 with every Resume of this link, and up to which offset it has received. It is proved by
//
//	HMAC-SHA256(secret, "daffi resumes" u16 length of what follows, Resume-payload without its proof)
//	secret = HMAC-SHA256(token, "daffi resume" u16 length of the Hello-payload, Hello-payload, Challenge-payload)
//
// where the token is empty if the link has none. The controller answers with a Resume of its own, the label of whose proof is "daffi resumed": the same session, incarnation and attempt, and up to which
// offset it has received. Then both send everything from there on again, the remaining times of requests shortened by what they have waited, and go on. The node sends
// nothing behind its Resume until it has the answer. The connection that the controller has not yet found to be cut gives way to the new one.
//
// The controller takes an attempt once, and only a higher one than before. A number that it does not know, another incarnation, a wrong proof and offsets that cannot be
// are answered by a Refuse, reason not_resumed, and change nothing; to the node the session is then dead, as it is when nobody listens at the address any more. A Goodbye, a
// protocol error and a link that was closed on purpose are never followed by a Resume.
//
// # Keepalive
//
// The Welcome says how often to ping (5 s) and after how much silence a peer is dead (15 s, LIM-17). Any byte counts as life. A Ping is sent
// when nothing else was received for the interval; both sides do it, the controller up to an eighth later, so that an idle link has one Ping and one Pong. A side that was stopped itself, for so long that the other may have given it up, does not handle what came
// meanwhile and closes the link.
//
// # Routes
//
// A route is a number that one controller incarnation gives to a (service, method, signature) the first time it is named. It stands for that as long as a session is there that
// has named it, or that was told of it by an introduction; afterwards it may be given to something else. Signatures are named by their fingerprints; the messages are those of package control. A call on a route reaches the
// providers of every signature that the caller's understands and is understood by. Towards a callee the field holds the number that
// the callee gave to the method when it registered it, below 2³¹, or, from there on, one that a Control frame before it has introduced, if the callee takes what nobody serves. That number is not given to
// another method before 2³¹ routes have come, since an introduction overtakes the calls that wait.
// A Request on a route that the controller does not know is answered Unavailable/stale_route, NotRun. The number 2³²-1 is no route: it says of a method that the
// controller's policy does not let the node know of it. A Request with it is answered as one on a route that the node may not call: PermissionDenied/policy, NotRun.
//
// # Peers
//
// Before the first Request of a session reaches a callee, a Peer frame introduces its node: the session's number in peer, the node's
// name as payload. A Peer frame with the flag Bulk and without a payload says that the session has ended; it follows all that was sent
// on the session's behalf, and the number is never used again.
//
// The calls of a node's schedules come from a session of their own, which is introduced by the node's name and an arg of 1. What they are runs of is said in their metadata, by the
// words daffi-task (the schedule's id), daffi-tick (a number from 1) and daffi-due (nanoseconds since 1970), all in text; of other sessions those words mean nothing. The tag's key is that of the tick.
//
// # Order
//
// A writer has three lanes. Control first, then small, then bulk, where messages above 16 KiB and everything that belongs to a stream
// travels (the flag Bulk, set by the sender and kept on the way). A frame never overtakes an earlier one of the same lane and call, and a bulk
// frame never overtakes an earlier small one. Large messages and streams take turns frame by frame. Not more than 128 KiB
// is handed to the kernel in one write.
//
// # Later versions
//
// Whoever meets what it does not know either does without it or refuses it, so that nothing is ever done by half. What may be added without another
// version number, and what somebody who does not know it makes of it:
//
//	what                                            if it is not known
//	a kind, sent with Optional                      the frame is skipped, whatever its payload, flags and fields, in the handshake too
//	a kind, sent without                            the link is closed with a protocol error that names the kind, and logged
//	a mode of a Request                             controller and callee refuse the call: FailedPrecondition/shape, NotRun
//	a bit of a tag                                  the callee refuses the call: InvalidArgument/decode, NotRun
//	a flag that a kind did not use before           not looked at, and passed on with the frames of calls; Large means 4 bytes of payload in every known kind
//	a header field or payload that it did not use   not looked at
//	a feature of Hello or Challenge                 not looked at. A feature is used if the Hello offers it and the Challenge takes it up
//	a way to authenticate                           the node leaves
//	bytes at the end of a handshake payload         skipped; the proofs cover them
//	elements at the end of an array of a control    skipped; one that is missing at the end is zero
//	message or failure, and of the rows in it
//	elements at the end of a choice among          the controller answers Failed, Unimplemented, NotRun: a call must not go where it may not
//	providers, or one of its values
//	a control message with a number                 the controller answers Failed, Unimplemented, NotRun; the node takes it for an answer that nobody awaits
//	a control message without one                   skipped
//	a code, reason or identity of a failure         kept as it is, and shown as it came
//	an outcome of a failure                         read as MayHaveRun
//
// So whoever adds something either marks it as what can be done without, or offers it as a feature and uses it where the other side took it up.
// A known kind from a side that does not send it, or at a time at which it is not sent, is a protocol error all the same. Anything else, the layout of the
// header and of what the handshake's payloads begin with before all, is another version: its number comes first in Hello and Challenge, so that either
// side can refuse the other by name.
package transport
