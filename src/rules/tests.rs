//! Rules from the outside: a statement, an item made with prost, and what it has become.

mod bad;
mod bounds;
mod converters;
mod editors;
pub mod fixture;
mod lambdas;
mod messages;
mod paths;
mod properties;
mod recall;
mod roads;
mod shapes;
mod xml;
