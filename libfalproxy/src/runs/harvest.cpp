#include "runs/harvest.hpp"

#include <algorithm>
#include <optional>

namespace falproxy::inline v0::runs {
namespace {

std::size_t bytes_of(const std::optional<std::string>& text) noexcept {
  return text.has_value() ? text->capacity() : 0;
}

std::size_t bytes_of(const JobReceipt& receipt) noexcept {
  return sizeof(JobReceipt) + receipt.fal_request_id.capacity() + receipt.endpoint.capacity() +
         receipt.fault.capacity();
}

std::size_t bytes_of(const Error& error) noexcept {
  return error.message.capacity() + error.field.capacity() + error.fal_request_id.capacity();
}

std::size_t bytes_of(const std::vector<plan::Note>& notes) noexcept {
  std::size_t bytes = 0;
  for (const plan::Note& note : notes)
    bytes += sizeof(plan::Note) + note.field.capacity() + note.text.capacity();
  return bytes;
}

}  // namespace

bool JobOutput::is_open() const noexcept {
  if (is_to_follow) return true;
  if (receipt.abandoned) return false;
  return result == nullptr && (!error.submitted || error.kind == ErrorKind::timed_out ||
                               error.kind == ErrorKind::cancelled);
}

bool Harvest::has_result() const noexcept {
  return std::ranges::any_of(outputs, [](const JobOutput& o) { return o.result != nullptr; });
}

bool Harvest::is_followed() const noexcept {
  return std::ranges::any_of(outputs, &JobOutput::is_to_follow);
}

bool Harvest::can_go_on() const noexcept {
  const bool begun = has_result() || is_followed();
  return begun && std::ranges::any_of(outputs, &JobOutput::is_open);
}

bool Harvest::is_failure() const noexcept {
  return !has_result() && !std::ranges::all_of(outputs, &JobOutput::is_open);
}

std::size_t Harvest::bytes() const noexcept {
  std::size_t bytes = sizeof(Harvest) + receipt.requested_model.capacity() +
                      receipt.served_model.capacity() + bytes_of(receipt.notes) +
                      bytes_of(plan.notes) + plan.jobs.capacity() * sizeof(plan::JobInput);
  for (const auto* text : {&plan.size, &plan.quality, &plan.background, &plan.output_format})
    bytes += bytes_of(*text);
  for (const JobReceipt& job : receipt.jobs) bytes += bytes_of(job);
  for (const JobOutput& output : outputs) {
    bytes += sizeof(JobOutput) + bytes_of(output.error) + bytes_of(output.receipt);
    if (output.result != nullptr) bytes += output.result->capacity();
    if (output.at_fal.has_value()) bytes += 4 * output.at_fal->submitted.status_url.capacity();
  }
  return bytes;
}

}  // namespace falproxy::inline v0::runs
