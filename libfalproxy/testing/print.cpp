#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "falproxy/fal_desk.hpp"
#include "pictures.hpp"

namespace falproxy::inline v0::testing {
namespace {

template <class E, std::size_t size>
std::string_view name_at(const std::string_view (&names)[size], E value) noexcept {
  const auto place = static_cast<std::size_t>(value);
  return place < size ? names[place] : "?";
}

}  // namespace

std::string_view name_of(Validation value) noexcept {
  constexpr std::string_view names[] = {"result", "submit"};
  return name_at(names, value);
}

std::string_view name_of(DeskHost value) noexcept {
  constexpr std::string_view names[] = {"main", "run", "elsewhere"};
  return name_at(names, value);
}

std::string_view name_of(FalDesk::Admission value) noexcept {
  constexpr std::string_view names[] = {"read", "read_without_notice", "reset", "close"};
  return name_at(names, value);
}

std::string_view name_of(PictureFormat value) noexcept { return extension(value); }

std::ostream& operator<<(std::ostream& out, const SeenSubmit& submit) {
  return out << std::to_string(submit.status) << " for " << submit.endpoint << ": " << submit.input;
}

std::ostream& operator<<(std::ostream& out, const SeenUpload& upload) {
  return out << std::to_string(upload.bytes.size()) << " bytes of " << upload.content_type;
}

std::ostream& operator<<(std::ostream& out, const DeskStats& stats) {
  return out << to_json(stats);
}

std::ostream& operator<<(std::ostream& out, const DeskRequest& request) {
  return out << request.method << ' ' << request.path << (request.query.empty() ? "" : "?")
             << request.query << " of the host " << request.host;
}

std::ostream& operator<<(std::ostream& out, const DeskReply& reply) {
  return out << std::to_string(reply.status) << ": " << reply.body;
}

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  return out << std::to_string(answer.status) << (answer.from_fal ? "" : " not of fal") << ", "
             << answer.content_type << ": " << Body(answer.body);
}

std::ostream& operator<<(std::ostream& out, const JobChange& change) {
  const char* before = "JobChange{";
  const auto member = [&](const char* name) -> std::ostream& {
    return out << std::exchange(before, ", ") << name;
  };
  const auto time = [&](const char* name, const std::optional<Milliseconds>& value) {
    if (value) member(name) << ": " << std::to_string(value->count()) << " ms";
  };
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) member(name) << ": " << Body(value);
  };
  const auto flag = [&](const char* name, bool value) {
    if (value) member(name) << ": true";
  };
  time("queue_time", change.queue_time);
  time("job_time", change.job_time);
  text("error", change.error);
  text("error_type", change.error_type);
  if (change.result) member("result") << ": " << *change.result;
  flag("ignores_cancel", change.ignores_cancel);
  flag("elsewhere_status", change.elsewhere_status);
  flag("elsewhere_result", change.elsewhere_result);
  flag("elsewhere_cancel", change.elsewhere_cancel);
  flag("elsewhere_images", change.elsewhere_images);
  return out << (change == JobChange{} ? "JobChange{}" : "}");
}

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return fault.name.empty() ? out << "a fault of the step " << fault.step : out << fault.name;
}

std::ostream& operator<<(std::ostream& out, const Picture& picture) {
  return out << file_suffix(picture);
}

}  // namespace falproxy::inline v0::testing
