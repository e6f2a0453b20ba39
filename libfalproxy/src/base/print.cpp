#include <array>
#include <sstream>

#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "base/text.hpp"
#include "base/words.hpp"
#include "falproxy/body_source.hpp"
#include "falproxy/form_reader.hpp"
#include "falproxy/http.hpp"
#include "falproxy/log.hpp"
#include "falproxy/result.hpp"
#include "falproxy/transport.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy::inline v0 {
namespace {

// Fields whose values are keys, or hold them.
bool is_secret(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 6> secret{
      "authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "set-cookie"};
  return std::ranges::any_of(secret,
                             [&](std::string_view one) { return equal_ignoring_case(one, name); });
}

std::vector<HttpHeaders::Field> without_secrets(const HttpHeaders& headers) {
  std::vector<HttpHeaders::Field> shown(headers.begin(), headers.end());
  for (auto& [name, value] : shown) {
    if (is_secret(name)) value = "[key]";
  }
  return shown;
}

}  // namespace

std::ostream& print_name(std::ostream& out, std::string_view name) { return out << name; }

std::string printed_by(const void* value, void (*print)(std::ostream& out, const void* value)) {
  std::ostringstream out;
  print(out, value);
  return std::move(out).str();
}

std::ostream& operator<<(std::ostream& out, const Error& error) {
  out << error.kind;
  if (!error.message.empty()) out << ": " << error.message;
  std::string more;
  const auto add = [&](const std::string& what) { more += (more.empty() ? " (" : "; ") + what; };
  if (!error.field.empty()) add("field " + error.field);
  if (error.retry_after.has_value())
    add(fmt::format("again after {} ms", error.retry_after->count()));
  if (error.submitted) add("submitted");
  if (!error.fal_request_id.empty()) add("fal's request " + error.fal_request_id);
  return out << more << (more.empty() ? "" : ")");
}

std::ostream& operator<<(std::ostream& out, Done) { return out << "done"; }

std::ostream& operator<<(std::ostream& out, const TransportError& error) {
  return out << error.fault << (error.message.empty() ? "" : ": ") << error.message
             << (error.nothing_sent ? " (nothing sent)" : "");
}

std::ostream& operator<<(std::ostream& out, const Piece& piece) {
  print_quoted(out, piece.bytes);
  return out;
}

std::ostream& operator<<(std::ostream& out, const Body& body) {
  print_quoted(out, body.str());
  return out;
}

std::ostream& operator<<(std::ostream& out, const HttpRequest& request) {
  return Printer(out, "HttpRequest")("method", request.method)("url", request.url)(
             "headers", without_secrets(request.headers))("body", request.body)(
             "source_bytes",
             request.source == nullptr ? std::nullopt : std::optional(request.source->size()))(
             "max_silence", request.max_silence)
      .end();
}

std::ostream& operator<<(std::ostream& out, const HttpHead& head) {
  return Printer(out, "HttpHead")("status", head.status)("headers", without_secrets(head.headers))(
             "ends_with_connection", head.ends_with_connection)
      .end();
}

std::ostream& operator<<(std::ostream& out, const HttpResponse& response) {
  return Printer(out, "HttpResponse")("head", response.head)("body", response.body).end();
}

std::ostream& operator<<(std::ostream& out, const Url& url) {
  return out << url.origin() << url.target;
}

std::ostream& operator<<(std::ostream& out, const FormPartHead& head) {
  return Printer(out, "FormPartHead")("name", head.name)("file_name", head.file_name)(
             "content_type", head.content_type)("transfer_encoding", head.transfer_encoding)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ResponseFormatRule& rule) {
  return out << rule.pattern << '=' << rule.format;
}

std::ostream& operator<<(std::ostream& out, const Teaching& teaching) {
  return Printer(out, "Teaching")("inputs", teaching.inputs)("outputs", teaching.outputs).end();
}

std::ostream& operator<<(std::ostream& out, const FalPreferences& preferences) {
  return Printer(out, "FalPreferences")("queue_priority", preferences.queue_priority)(
             "runner_hint", preferences.runner_hint)("disable_fallback",
                                                     preferences.disable_fallback)(
             "output_expiration", preferences.output_expiration)("output_access",
                                                                 preferences.output_access)
      .end();
}

std::string_view name_of(Medium value) noexcept {
  constexpr std::string_view names[] = {"image",   "video",     "audio", "text",
                                        "archive", "embedding", "mesh"};
  return name_at(names, value);
}

std::string_view name_of(ResponseFormat value) noexcept { return name_in(response_formats, value); }
std::string_view name_of(Completion value) noexcept { return name_in(completions, value); }
std::string_view name_of(MaskConvention value) noexcept { return name_in(mask_conventions, value); }
std::string_view name_of(QueuePriority value) noexcept { return name_in(queue_priorities, value); }
std::string_view name_of(OutputAccess value) noexcept { return name_in(output_accesses, value); }

std::string_view name_of(LogLevel value) noexcept {
  constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
  return name_at(names, value);
}

std::string_view name_of(TransportFault value) noexcept {
  constexpr std::string_view names[] = {"unreachable", "interrupted", "timed_out", "cancelled",
                                        "too_large"};
  return name_at(names, value);
}

}  // namespace falproxy::inline v0
