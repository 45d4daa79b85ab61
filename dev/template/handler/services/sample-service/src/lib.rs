//! Consumes `other.heard`: nothing follows from it yet.
