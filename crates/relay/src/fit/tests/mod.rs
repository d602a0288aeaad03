//! The degrade table row by row, and what holds for every plan.

mod desk;
mod properties;
mod table;
mod table_media;
