// Package manyfiles has annotated interfaces in several files, and types in others.
package manyfiles

import stdtime "time"

// Item is used by all.
type Item struct{ At stdtime.Time }
