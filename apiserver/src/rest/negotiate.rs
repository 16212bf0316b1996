//! Which form of an answer a client wants.

use hardway_proto::Status;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// In which shape objects are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As they are.
    Object,
    /// As a Table.
    Table,
    /// Metadata only.
    Partial,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// How.
    pub media: Media,
    /// In which shape.
    pub shape: Shape,
    /// Indented, for people.
    pub pretty: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            media: Media::Json,
            shape: Shape::Object,
            pretty: false,
        }
    }
}

impl Form {
    /// The best form that an `Accept` header allows. 406 if there is none.
    pub fn accepted(accept: &str) -> Result<Self, Status> {
        if accept.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut best: Option<(f32, Self)> = None;
        for range in accept.split(',') {
            if let Some((quality, form)) = read_range(range)
                && best.is_none_or(|(highest, _)| quality > highest)
            {
                best = Some((quality, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            Status::failure(
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json, application/yaml",
            )
        })
    }
}

/// One media range; `None` if it can't be served.
fn read_range(range: &str) -> Option<(f32, Form)> {
    let mut parts = range.split(';').map(str::trim);
    let media = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" | "*/*" | "application/*" | "text/*" => Media::Json,
        "application/yaml" => Media::Yaml,
        _ => return None,
    };
    let mut quality = 1.0;
    let (mut shape, mut group, mut version) = (Shape::Object, "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", "Table")) => shape = Shape::Table,
            Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                shape = Shape::Partial;
            }
            Some(("as", _)) => return None,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
            _ => {}
        }
    }
    let plain = shape == Shape::Object && group.is_empty() && version.is_empty();
    let meta = shape != Shape::Object && group == "meta.k8s.io" && version == "v1";
    (quality > 0.0 && (plain || meta)).then_some((
        quality,
        Form {
            media,
            shape,
            pretty: false,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_get_wants_a_table() {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(Form::accepted(accept).unwrap().shape, Shape::Table);
        let older = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(Form::accepted(older).unwrap().shape, Shape::Object);
    }

    #[test]
    fn protobuf_falls_back_to_json() {
        let protobuf = "application/vnd.kubernetes.protobuf";
        assert_eq!(
            Form::accepted(&format!("{protobuf},application/json")).unwrap(),
            Form::default()
        );
        assert_eq!(Form::accepted(protobuf).unwrap_err().code, 406);
    }

    #[test]
    fn quality_counts() {
        let form = Form::accepted("application/json;q=0.5, application/yaml").unwrap();
        assert_eq!(form.media, Media::Yaml);
        assert_eq!(Form::accepted("").unwrap().media, Media::Json);
        assert_eq!(Form::accepted("*/*").unwrap().media, Media::Json);
    }
}
