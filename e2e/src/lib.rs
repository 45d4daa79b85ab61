//! The three services together, as processes over real servers: see `tests/it`.
//!
//! | module | shows |
//! |---|---|
//! | `story` | the whole story, as one trace |
//! | `campaign` | thousands of events through processes and servers that are killed, frozen and cut off |
//! | `crashes` | processes killed between two steps: nothing is lost, nothing happens twice |
//! | `faults` | the faults of messaging, each by its name, and the tools that repair |
//! | `startup` | settings with faults: all reported, no port opened |
