//! Safe bindings of libyaml: a parser from bytes to events, and an emitter from events to bytes.
//!
//! libyaml's structures contain pointers to themselves, so they are on the heap and never moved. Every string of an event
//! is copied before the event is freed. The events are those of
//! [YAML 1.1, section 3](https://yaml.org/spec/1.1/#id857168); both directions stop at the first error.

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice};

use libyaml_rs as sys;

use super::scalar::Style;
use crate::error::{Error, Result};

/// An event of the parser.
#[derive(Debug)]
pub(super) enum Event {
    StreamStart,
    StreamEnd,
    DocumentStart { version: Option<(i32, i32)>, handles: Vec<(String, String)> },
    DocumentEnd,
    Alias(String),
    Scalar { anchor: Option<String>, tag: Option<String>, text: Box<str>, style: Style },
    SequenceStart { anchor: Option<String>, tag: Option<String>, flow: bool },
    SequenceEnd,
    MappingStart { anchor: Option<String>, tag: Option<String>, flow: bool },
    MappingEnd,
}

/// Parses a text to events.
pub(super) struct Parser<'a> {
    state: *mut sys::yaml_parser_t,
    /// Lines of the file before the text, for messages.
    lines_before: u64,
    input: PhantomData<&'a [u8]>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(input: &'a [u8], lines_before: usize) -> Self {
        let parser = Box::into_raw(Box::new(MaybeUninit::<sys::yaml_parser_t>::zeroed())).cast();
        // SAFETY: `parser` is a fresh allocation of the right size and alignment, which `initialize` fills in. It
        // cannot fail: libyaml aborts without memory. The input outlives the parser by the lifetime 'a.
        unsafe {
            let _ = sys::yaml_parser_initialize(parser).ok;
            sys::yaml_parser_set_encoding(parser, sys::YAML_UTF8_ENCODING);
            sys::yaml_parser_set_input_string(parser, input.as_ptr(), input.len() as u64);
        }
        Self { state: parser, lines_before: lines_before as u64, input: PhantomData }
    }

    /// Returns the next event; after the last one always [`Event::StreamEnd`].
    pub(super) fn next(&mut self) -> Result<Event> {
        let mut event = MaybeUninit::<sys::yaml_event_t>::zeroed();
        let event = event.as_mut_ptr();
        // SAFETY: `parser` was initialized in `new`; `parse` fills `event` in, or zeroes it and fails. The strings of the
        // event live until it is deleted, after they were copied.
        unsafe {
            if !sys::yaml_parser_parse(self.state, event).ok {
                return Err(self.error());
            }
            let copy = copy(&*event);
            sys::yaml_event_delete(event);
            copy
        }
    }

    fn error(&self) -> Error {
        // SAFETY: the parser is initialized, and its messages are null or static C strings.
        let (problem, context, mark, offset) = unsafe {
            let parser = &*self.state;
            (message(parser.problem), message(parser.context), parser.problem_mark, parser.problem_offset)
        };
        let place = match (mark.line, mark.column) {
            (0, 0) if offset > 0 => format!("byte {offset}"),
            (line, column) => format!("line {}, column {}", self.lines_before + line + 1, column + 1),
        };
        let context = if context.is_empty() { context } else { format!(" {context}") };
        Error::metadata(format!("YAML, {place}: {problem}{context}"))
    }
}

impl Drop for Parser<'_> {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`, and freed only here; the box is the allocation made there.
        unsafe {
            sys::yaml_parser_delete(self.state);
            drop(Box::from_raw(self.state.cast::<MaybeUninit<sys::yaml_parser_t>>()));
        }
    }
}

/// Copies a message of libyaml.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn message(text: *const i8) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, hence a C string.
    unsafe { CStr::from_ptr(text.cast()) }.to_string_lossy().into_owned()
}

/// Copies a tag, anchor or handle.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn string(text: *const u8) -> Result<Option<String>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, hence a C string.
    let text = unsafe { CStr::from_ptr(text.cast()) };
    match text.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Error::metadata("YAML: a tag or anchor is not UTF-8")),
    }
}

/// Copies an event.
///
/// # Safety
/// `yaml_parser_parse` created the event.
unsafe fn copy(event: &sys::yaml_event_t) -> Result<Event> {
    // SAFETY: the type of the event selects the member of the union, and libyaml keeps its strings alive and terminated
    // until the event is deleted; the value of a scalar has `length` bytes before its terminator.
    unsafe {
        let data = &event.data;
        Ok(match event.type_ {
            sys::YAML_STREAM_START_EVENT => Event::StreamStart,
            sys::YAML_DOCUMENT_START_EVENT => {
                let start = &data.document_start;
                let version = start.version_directive.as_ref().map(|version| (version.major, version.minor));
                let mut handles = Vec::new();
                let mut directive = start.tag_directives.start.cast_const();
                while directive != start.tag_directives.end.cast_const() {
                    let pair = (string((*directive).handle)?, string((*directive).prefix)?);
                    if let (Some(handle), Some(prefix)) = pair {
                        handles.push((handle, prefix));
                    }
                    directive = directive.add(1);
                }
                Event::DocumentStart { version, handles }
            }
            sys::YAML_DOCUMENT_END_EVENT => Event::DocumentEnd,
            sys::YAML_ALIAS_EVENT => Event::Alias(string(data.alias.anchor)?.unwrap_or_default()),
            sys::YAML_SCALAR_EVENT => {
                let scalar = &data.scalar;
                let bytes = slice::from_raw_parts(scalar.value.cast_const(), scalar.length as usize);
                let text = str::from_utf8(bytes).map_err(|_| Error::metadata("YAML: a scalar is not UTF-8"))?;
                let style = match scalar.style {
                    // `! "12"` is a quoted text that is resolved like a plain one.
                    _ if scalar.plain_implicit => Style::Plain,
                    sys::YAML_SINGLE_QUOTED_SCALAR_STYLE => Style::SingleQuoted,
                    sys::YAML_DOUBLE_QUOTED_SCALAR_STYLE => Style::DoubleQuoted,
                    sys::YAML_LITERAL_SCALAR_STYLE => Style::Literal,
                    sys::YAML_FOLDED_SCALAR_STYLE => Style::Folded,
                    _ => Style::Plain,
                };
                Event::Scalar { anchor: string(scalar.anchor)?, tag: string(scalar.tag)?, text: text.into(), style }
            }
            sys::YAML_SEQUENCE_START_EVENT => {
                let start = &data.sequence_start;
                let flow = start.style == sys::YAML_FLOW_SEQUENCE_STYLE;
                Event::SequenceStart { anchor: string(start.anchor)?, tag: string(start.tag)?, flow }
            }
            sys::YAML_SEQUENCE_END_EVENT => Event::SequenceEnd,
            sys::YAML_MAPPING_START_EVENT => {
                let start = &data.mapping_start;
                let flow = start.style == sys::YAML_FLOW_MAPPING_STYLE;
                Event::MappingStart { anchor: string(start.anchor)?, tag: string(start.tag)?, flow }
            }
            sys::YAML_MAPPING_END_EVENT => Event::MappingEnd,
            _ => Event::StreamEnd,
        })
    }
}

/// Writes events to text.
pub(super) struct Emitter {
    state: *mut sys::yaml_emitter_t,
    output: *mut Vec<u8>,
}

/// Options of writing a scalar.
#[derive(Clone, Copy)]
pub(super) struct ScalarForm {
    /// `None` for plain if the syntax allows it.
    pub(super) style: Option<Style>,
    /// Whether a plain scalar needs no tag.
    pub(super) plain_implicit: bool,
    /// Whether a quoted scalar needs no tag.
    pub(super) quoted_implicit: bool,
}

/// Appends to the output; libyaml calls it.
///
/// # Safety
/// `output` is the vector of a living [`Emitter`], and `bytes` has `length` bytes.
unsafe fn append(output: *mut c_void, bytes: *mut u8, length: u64) -> i32 {
    // SAFETY: as above; nothing else refers to the vector while the emitter runs.
    unsafe { (*output.cast::<Vec<u8>>()).extend_from_slice(slice::from_raw_parts(bytes, length as usize)) };
    1
}

/// A C string, or the null pointer.
struct CText(Option<CString>);

impl CText {
    fn new(text: Option<&str>) -> Result<Self> {
        let nul = |_| Error::metadata("YAML: a tag or anchor cannot contain NUL");
        Ok(Self(text.map(CString::new).transpose().map_err(nul)?))
    }

    fn pointer(&self) -> *const u8 {
        self.0.as_ref().map_or(ptr::null(), |text| text.as_ptr().cast())
    }
}

impl Emitter {
    pub(super) fn new() -> Result<Self> {
        let emitter = Box::into_raw(Box::new(MaybeUninit::<sys::yaml_emitter_t>::zeroed())).cast();
        let output = Box::into_raw(Box::<Vec<u8>>::default());
        // SAFETY: `emitter` is a fresh allocation of the right size and alignment, which `initialize` fills in; both
        // allocations live until the emitter is dropped.
        unsafe {
            let _ = sys::yaml_emitter_initialize(emitter).ok;
            sys::yaml_emitter_set_output(emitter, append, output.cast());
            sys::yaml_emitter_set_unicode(emitter, true);
            sys::yaml_emitter_set_width(emitter, 80);
        }
        let mut this = Self { state: emitter, output };
        // SAFETY: the closure fills in the event it is given.
        this.emit(|event| unsafe { sys::yaml_stream_start_event_initialize(event, sys::YAML_UTF8_ENCODING).ok })?;
        Ok(this)
    }

    /// Emits the event that `make` fills in.
    fn emit(&mut self, make: impl FnOnce(*mut sys::yaml_event_t) -> bool) -> Result<()> {
        let mut event = MaybeUninit::<sys::yaml_event_t>::zeroed();
        let event = event.as_mut_ptr();
        if !make(event) {
            return Err(Error::metadata("YAML: cannot write a text that is not UTF-8"));
        }
        // SAFETY: the emitter is initialized and the event filled in; the emitter frees it, even if it fails.
        unsafe {
            if sys::yaml_emitter_emit(self.state, event).ok {
                return Ok(());
            }
            Err(Error::metadata(format!("YAML: {}", message((&*self.state).problem))))
        }
    }

    pub(super) fn document_start(&mut self, handles: &[(String, String)]) -> Result<()> {
        let mut texts = Vec::with_capacity(handles.len());
        for (handle, prefix) in handles {
            texts.push((CText::new(Some(handle))?, CText::new(Some(prefix))?));
        }
        // libyaml's crate exports no constructor of directives.
        let mut directives: Vec<MaybeUninit<sys::yaml_tag_directive_t>> =
            texts.iter().map(|_| MaybeUninit::zeroed()).collect();
        let mut version = MaybeUninit::<sys::yaml_version_directive_t>::zeroed();
        // SAFETY: both types are plain pointers and integers, for which zero is valid; libyaml copies the strings, which
        // live in `texts`, without writing to them.
        self.emit(|event| unsafe {
            let version = version.as_mut_ptr();
            (*version).major = 1;
            (*version).minor = 1;
            for (directive, (handle, prefix)) in directives.iter_mut().zip(&texts) {
                let directive = directive.as_mut_ptr();
                (*directive).handle = handle.pointer().cast_mut();
                (*directive).prefix = prefix.pointer().cast_mut();
            }
            let range = directives.as_mut_ptr_range();
            let (start, end) = (range.start.cast(), range.end.cast());
            sys::yaml_document_start_event_initialize(event, version, start, end, false).ok
        })
    }

    /// Returns the number of bytes that were written; the last ones may still be in libyaml's buffer.
    pub(super) fn written(&self) -> usize {
        // SAFETY: the vector lives as long as the emitter, which does not run now.
        unsafe { (*self.output).len() }
    }

    /// Ends the document and the stream, and returns the text.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        // SAFETY: the closure fills in the event it is given.
        self.emit(|event| unsafe { sys::yaml_document_end_event_initialize(event, false).ok })?;
        // SAFETY: as above.
        self.emit(|event| unsafe { sys::yaml_stream_end_event_initialize(event).ok })?;
        // SAFETY: the emitter is initialized, and writes nothing after the end of the stream, so the vector can be taken.
        unsafe {
            let _ = sys::yaml_emitter_flush(self.state).ok;
            Ok(std::mem::take(&mut *self.output))
        }
    }

    pub(super) fn alias(&mut self, anchor: &str) -> Result<()> {
        let anchor = CText::new(Some(anchor))?;
        // SAFETY: libyaml copies the string.
        self.emit(|event| unsafe { sys::yaml_alias_event_initialize(event, anchor.pointer()).ok })
    }

    pub(super) fn scalar(
        &mut self,
        anchor: Option<&str>,
        tag: Option<&str>,
        text: &str,
        form: ScalarForm,
    ) -> Result<()> {
        let (anchor, tag) = (CText::new(anchor)?, CText::new(tag)?);
        let length = i32::try_from(text.len()).map_err(|_| Error::metadata("YAML: a scalar exceeds 2 GiB"))?;
        let style = match form.style {
            None => sys::YAML_ANY_SCALAR_STYLE,
            Some(Style::Plain) => sys::YAML_PLAIN_SCALAR_STYLE,
            Some(Style::SingleQuoted) => sys::YAML_SINGLE_QUOTED_SCALAR_STYLE,
            Some(Style::DoubleQuoted) => sys::YAML_DOUBLE_QUOTED_SCALAR_STYLE,
            Some(Style::Literal) => sys::YAML_LITERAL_SCALAR_STYLE,
            Some(Style::Folded) => sys::YAML_FOLDED_SCALAR_STYLE,
        };
        // SAFETY: libyaml copies the strings; it reads `length` bytes of the text and no terminator.
        self.emit(|event| unsafe {
            sys::yaml_scalar_event_initialize(
                event,
                anchor.pointer(),
                tag.pointer(),
                text.as_ptr(),
                length,
                form.plain_implicit,
                form.quoted_implicit,
                style,
            )
            .ok
        })
    }

    pub(super) fn sequence_start(&mut self, anchor: Option<&str>, tag: Option<&str>, flow: bool) -> Result<()> {
        let style = if flow { sys::YAML_FLOW_SEQUENCE_STYLE } else { sys::YAML_BLOCK_SEQUENCE_STYLE };
        let (implicit, anchor, tag) = (tag.is_none(), CText::new(anchor)?, CText::new(tag)?);
        // SAFETY: libyaml copies the strings.
        self.emit(|event| unsafe {
            sys::yaml_sequence_start_event_initialize(event, anchor.pointer(), tag.pointer(), implicit, style).ok
        })
    }

    pub(super) fn sequence_end(&mut self) -> Result<()> {
        // SAFETY: the closure fills in the event it is given.
        self.emit(|event| unsafe { sys::yaml_sequence_end_event_initialize(event).ok })
    }

    pub(super) fn mapping_start(&mut self, anchor: Option<&str>, tag: Option<&str>, flow: bool) -> Result<()> {
        let style = if flow { sys::YAML_FLOW_MAPPING_STYLE } else { sys::YAML_BLOCK_MAPPING_STYLE };
        let (implicit, anchor, tag) = (tag.is_none(), CText::new(anchor)?, CText::new(tag)?);
        // SAFETY: libyaml copies the strings.
        self.emit(|event| unsafe {
            sys::yaml_mapping_start_event_initialize(event, anchor.pointer(), tag.pointer(), implicit, style).ok
        })
    }

    pub(super) fn mapping_end(&mut self) -> Result<()> {
        // SAFETY: the closure fills in the event it is given.
        self.emit(|event| unsafe { sys::yaml_mapping_end_event_initialize(event).ok })
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`, and freed only here; the boxes are the allocations made there.
        unsafe {
            sys::yaml_emitter_delete(self.state);
            drop(Box::from_raw(self.state.cast::<MaybeUninit<sys::yaml_emitter_t>>()));
            drop(Box::from_raw(self.output));
        }
    }
}
