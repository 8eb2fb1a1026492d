//! The engine against an emulator of AWS with real containers, and the layer that makes the emulator strict.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the tests of the whole program use more of it")]
mod support;

#[cfg(feature = "aws")]
mod adapter;
#[cfg(feature = "aws")]
mod conformance;
#[cfg(feature = "aws")]
mod sdk;
mod strict;
#[cfg(feature = "aws")]
mod subject;
mod trial;
mod wire;
