//! The JNI boundary of httpkit-rs: the native half of `org.httpkit.engine`.
//!
//! Java calls the functions of `exports`; the engine calls Java through `application::JavaApplication`, which
//! implements [`httpkit_engine::Application`]. What crosses is laid out in `wire`.
//!
//! This is the only crate of the project with `unsafe` code. Its invariants: nothing unwinds into the JVM, no Java
//! exception stays pending after an up-call, and no lock of the engine is held while Java code runs.

mod address;
mod allocator;
mod application;
mod array;
mod body;
mod classes;
mod errors;
mod exports;
mod fault;
mod file;
mod jvm;
mod servers;
mod up_calls;
mod version;
mod wire;
mod worker;
