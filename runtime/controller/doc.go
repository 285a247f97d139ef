// Package controller is the router that nodes join: it knows who is there and what they serve, picks a provider for each call and
// forwards frames by their headers alone. It runs inside any process or alone, as the daffi program.
//
// It never looks into arguments, results or items, and never waits for a node: a node whose queue is full answers for itself with
// ResourceExhausted/busy, and one that takes nothing is dropped.
//
// # How it works
//
// Each link has a session, which is the link's [transport.Handler]; the goroutine that delivers a peer's frames does all that they ask for. A
// call has two ends: an entry in the table of the caller's session, named by the caller, and one in the table of the
// callee's session, named by the controller. Every frame of the call is looked up in one of them, given the other's name, and enqueued at the
// other's link; what one read brought is flushed together when it was all handled.
//
// # Locks
//
// The controller's lock guards who is there, what is served and who watches; it is not taken to forward a frame. A session's lock
// guards its two tables. Nobody holds the locks of two sessions at a time, a session's lock is never held while the controller's is asked for, and no
// lock is held while a link is flushed, since that may run the peer's handler.
package controller
