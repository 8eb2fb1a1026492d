//! The store on real files.

mod damage;
mod events;
mod fixture;
mod observed;
mod tasks;
mod world;
