//! The update demo: a picture whose creature and colour come with the image, so that
//! a rolling update can be watched.

use hardway_images::http::{Answer, Request, serve};
use hardway_images::{log, run_until_drained, setting};

fn main() -> nix::Result<()> {
    run_until_drained(|| {
        if let Err(error) = serve("the demo", &setting("PORT", "80"), answer) {
            log(&format!("the demo ends: {error}"));
        }
    })
}

fn answer(request: &Request) -> Answer {
    let creature = setting("CREATURE", "nobody");
    let pod = setting("HOSTNAME", "unknown");
    match request.path.as_str() {
        "/" => Answer::page(picture(&creature, &setting("COLOUR", "grey"), &pod)),
        "/name" => Answer::text(format!("{creature}\n")),
        path => Answer::nothing_at(path),
    }
}

fn picture(creature: &str, colour: &str, pod: &str) -> String {
    format!(
        "<!doctype html>\n<title>{creature}</title>\n\
         <svg viewBox=\"0 0 200 120\" width=\"400\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <ellipse cx=\"100\" cy=\"60\" rx=\"70\" ry=\"40\" fill=\"{colour}\"/>\n\
         <circle cx=\"135\" cy=\"48\" r=\"6\" fill=\"white\"/>\n\
         <text x=\"100\" y=\"68\" text-anchor=\"middle\" fill=\"white\">{creature}</text>\n\
         </svg>\n<p>{pod}</p>\n"
    )
}
