#include <algorithm>

#include "base/printer.hpp"
#include "falproxy/plan.hpp"

namespace falproxy::inline v0::plan {

bool Plan::operator==(const Plan& other) const noexcept {
  return jobs == other.jobs && makes == other.makes && intent == other.intent &&
         response_format == other.response_format && places == other.places &&
         times == other.times && n == other.n && mask == other.mask && source == other.source &&
         mask_is_source == other.mask_is_source && uses_sync_mode == other.uses_sync_mode &&
         size == other.size && quality == other.quality && background == other.background &&
         output_format == other.output_format && output_format_sent == other.output_format_sent &&
         preferences == other.preferences && mappings == other.mappings &&
         std::ranges::is_permutation(notes, other.notes);
}

std::ostream& operator<<(std::ostream& out, const Note& note) {
  return out << note.field << (note.field.empty() ? "" : ": ") << note.text;
}

std::ostream& operator<<(std::ostream& out, const Mapping& mapping) {
  return Printer(out, "Mapping")("field", mapping.field)("property", mapping.property)(
             "value", mapping.value)("why", mapping.why)
      .end();
}

std::ostream& operator<<(std::ostream& out, const FileSlot& slot) {
  Printer printer(out, "FileSlot");
  if (slot.image == FileSlot::mask_image) {
    printer("image", std::string_view("mask"));
  } else {
    printer("image", slot.image);
  }
  return printer("property", slot.property)("path", slot.path).end();
}

std::ostream& operator<<(std::ostream& out, const JobInput& input) {
  return Printer(out, "JobInput")("input", input.input)("images", input.images)("slots",
                                                                                input.slots)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Plan& plan) {
  const std::string_view times =
      plan.times == Times::none ? std::string_view() : name_of(plan.times);
  return Printer(out, "Plan")("jobs", plan.jobs)("makes", plan.makes)("intent", plan.intent)(
             "response_format", plan.response_format)("places", plan.places)("times", times)(
             "n", plan.n)("mask", plan.mask)("source", plan.source)(
             "mask_is_source", plan.mask_is_source)("uses_sync_mode", plan.uses_sync_mode)(
             "size", plan.size)("quality", plan.quality)("background", plan.background)(
             "output_format", plan.output_format)("output_format_sent", plan.output_format_sent)(
             "endpoint", plan.endpoint)("preferences", plan.preferences)("mappings", plan.mappings)(
             "notes", plan.notes)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Options& options) {
  return Printer(out, "Options")("max_images", options.max_images)(
             "strict_parameters", options.strict_parameters)("default_response_format",
                                                             options.default_response_format)(
             "nsfw_results", options.nsfw_results)("output_access", options.output_access)(
             "opens_files", options.opens_files)("data_uris", options.data_uris)(
             "converted_sounds", options.converted_sounds)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ResultFile& image) {
  return Printer(out, "ResultFile")("url", image.url)("is_data_uri", image.is_data_uri)(
             "content_type", image.content_type)("width", image.width)("height", image.height)(
             "svg", image.svg)("place", image.place)("revised_prompt", image.revised_prompt)(
             "transcript", image.transcript)("thumbnail", image.thumbnail)
      .end();
}

std::ostream& operator<<(std::ostream& out, const JobResult& result) {
  return Printer(out, "JobResult")("images", result.images)("nsfw", result.nsfw).end();
}

}  // namespace falproxy::inline v0::plan
