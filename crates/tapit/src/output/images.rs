//! Images.

use tapit_model::ImageView;

use super::format::{age, bytes, command, layers, or_dash, short_digest, time};
use super::table::{Block, Cell, Table};

pub fn images_table(images: &[ImageView], colour: bool) -> String {
    let mut table = Table::new(&["NAME", "DIGEST", "SIZE", "SHARED", "SOURCE", "AGE", "USED BY"]);
    for image in images {
        table.row(vec![
            Cell::from(&image.name),
            short_digest(&image.digest).into(),
            bytes(image.size).into(),
            bytes(image.shared).into(),
            or_dash(Some(&image.source)).into(),
            age(&image.created_at, std::time::SystemTime::now()).into(),
            or_dash(Some(&image.used_by.join(","))).into(),
        ]);
    }
    table.render(colour)
}

pub fn image_page(image: &ImageView, colour: bool) -> String {
    let ports: Vec<String> = image.exposed_ports.iter().map(u16::to_string).collect();
    let shared = format!("{}, and {} that go with this image alone", bytes(image.shared), bytes(image.unique));
    let mut block = Block::default();
    block.line("name", &image.name);
    block.line("digest", &image.digest);
    block.line("size", format!("{} in {}", bytes(image.size), layers(image.layers)));
    block.line("shared", shared);
    block.line("source", or_dash(Some(&image.source)));
    block.line("created_at", time(&image.created_at));
    block.line("used_at", time(&image.used_at));
    block.line("entrypoint", or_dash(Some(&command(&image.entrypoint))));
    block.line("command", or_dash(Some(&command(&image.command))));
    block.line("exposed_ports", or_dash(Some(&ports.join(", "))));
    block.line("user", or_dash(Some(&image.user)));
    block.line("working_dir", or_dash(Some(&image.working_dir)));
    block.line("used_by", or_dash(Some(&image.used_by.join(", "))));
    block.render(colour)
}
