#include <algorithm>

#include "falproxy/fal.hpp"
#include "falproxy/plan.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::plan {
namespace {

// Printable ASCII only, as a header field must be; each other byte becomes '?', but for the tail
// bytes of one character.
void append_ascii(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else if (byte < 0x80 || byte >= 0xc0) {
      out += '?';
    }
  }
}

Json optional_text(const std::optional<std::string>& text) {
  return text ? Json::string(*text) : Json();
}

}  // namespace

std::string header_value(const std::vector<Note>& notes, std::size_t max_bytes) {
  constexpr std::string_view ellipsis = "...";
  std::string line;
  for (const Note& note : notes) {
    if (!line.empty()) line += "; ";
    append_ascii(line, note.field);
    if (!note.field.empty()) line += ": ";
    append_ascii(line, note.text);
    if (line.size() > max_bytes) break;
  }
  if (line.size() <= max_bytes) return line;
  line.resize(max_bytes - std::min(max_bytes, ellipsis.size()));
  line += ellipsis.substr(0, std::min(max_bytes, ellipsis.size()));
  return line;
}

Json explain(const Plan& plan) {
  std::vector<Json> jobs;
  for (const JobInput& job : plan.jobs) {
    jobs.push_back(Json::object({{"files", Json::integer(job.images)}, {"body", job.input}}));
  }
  std::vector<Json> mappings;
  for (const Mapping& mapping : plan.mappings) {
    mappings.push_back(Json::object(
        {{"field", Json::string(mapping.field)},
         {"property", mapping.property.empty() ? Json() : Json::string(mapping.property)},
         {"value", mapping.value},
         {"why", Json::string(mapping.why)}}));
  }
  std::vector<Json> notes;
  for (const Note& note : plan.notes) {
    notes.push_back(
        Json::object({{"field", Json::string(note.field)}, {"text", Json::string(note.text)}}));
  }
  std::vector<std::pair<std::string, Json>> headers;
  for (const auto& [name, value] : fal::preference_headers(plan.preferences)) {
    headers.emplace_back(name, Json::string(value));
  }
  return Json::object({
      {"operation", Json::string(name_of(plan.intent))},
      {"jobs", Json::array(jobs)},
      {"headers", Json::object(headers)},
      {"n", Json::integer(plan.n)},
      {"response_format", Json::string(name_of(plan.response_format))},
      {"sync_mode", Json::boolean(plan.uses_sync_mode)},
      {"size", optional_text(plan.size)},
      {"quality", optional_text(plan.quality)},
      {"background", optional_text(plan.background)},
      {"output_format", optional_text(plan.output_format)},
      {"mappings", Json::array(mappings)},
      {"notes", Json::array(notes)},
  });
}

}  // namespace falproxy::inline v0::plan
