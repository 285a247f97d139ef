// Package layers has the test that holds imports to one direction, and the runtime to few dependencies.
package layers
