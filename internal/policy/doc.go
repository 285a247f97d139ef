// Package policy reads the file that says which node may do what at a controller, and decides by it.
//
// # The file
//
// One rule a line. What follows a # is a comment.
//
//	# who may buy
//	group shops = shop-* kiosk
//
//	allow @shops           call      Cart.* Orders.Place
//	allow cart-1,cart-2    serve     Cart.*
//	allow clerk            call,schedule  Reports.Daily
//	allow monitor          watch     *
//	deny  shop-test        all       Orders.Place
//
// A rule is allow or deny, then who, then what is done, then to which methods:
//
//	allow|deny WHO ACTION WHAT...
//
// WHO is a list of nodes, with commas and without spaces: a name (kiosk), the beginning of names and a * (shop-*), a
// group (@shops), or * for every node.
//
// ACTION is a list of what is done, with commas and without spaces, or all:
//
//	call      call the method, in whatever way: its result, a stream, one-way, a broadcast, an event
//	serve     serve it, also as one of those that take what nobody serves
//	schedule  have the controller call it, again and again
//	watch     see who serves it, and its description; whoever may call or schedule a method sees that as well
//
// WHAT is a list of methods, with spaces or commas: a full name (Cart.Add, or shop.v1.Cart.Add), everything below a name (Cart.* and shop.*, which has shop.v1.Cart.Add in
// it, and not the name shop itself), or * for everything. A * stands for whole parts only: Ca* and Cart.A* are errors. To watch * is also to see nodes that serve nothing.
//
//	group NAME = WHO...
//
// makes a group of nodes, which may be used above and below it. Its members are names and beginnings of names, not other groups.
//
// # What it means
//
// A deny that applies decides, wherever it stands; otherwise an allow that applies does; otherwise the answer is no. So the order of the lines means nothing, and a
// file with one rule forbids everything else.
//
// Names are compared byte by byte: Cart.add is another method than Cart.Add. What is no name that a node or a method could have, because of its spelling or its length, is an
// error in the file, since such a rule would never apply.
//
// A file is taken whole or not at all. One without any rule is an error, since that is what a file looks like that is being written: "deny * all *" forbids everything. Its bounds are
// [MaxBytes], [MaxLine], [MaxRules] and [MaxPairs] (LIM-57).
package policy
