#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/openai.hpp"

namespace falproxy::inline v0::openai {
std::string_view name_of(FormGatherer::Files value) noexcept {
  constexpr std::string_view names[] = {"pictures", "sound"};
  return name_at(names, value);
}

std::string_view name_of(ImageEvent::Kind value) noexcept {
  constexpr std::string_view names[] = {"partial_image", "completed"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const FormPart& part) {
  return Printer(out, "FormPart")("name", part.name)("file_name", part.file_name)(
             "content_type", part.content_type)("bytes", part.bytes)(
             "source_bytes",
             part.source == nullptr ? std::nullopt : std::optional(part.source->size()))
      .end();
}

std::ostream& operator<<(std::ostream& out, const Usage& usage) {
  return Printer(out, "Usage")("input_text_tokens", usage.input_text_tokens)(
             "input_image_tokens", usage.input_image_tokens)(
             "output_image_tokens", usage.output_image_tokens)("cost", usage.cost)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ImageData& data) {
  return Printer(out, "ImageData")("content", data.content)("is_url", data.is_url)(
             "revised_prompt", data.revised_prompt)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ImageResponse& response) {
  return Printer(out, "ImageResponse")("created", response.created)("data", response.data)(
             "size", response.size)("quality", response.quality)("background", response.background)(
             "output_format", response.output_format)("usage", response.usage)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ImageEvent& event) {
  return Printer(out, "ImageEvent")("kind", event.kind)("intent", event.intent)(
             "b64_json", event.b64_json)("partial_image_index", event.partial_image_index)(
             "created_at", event.created_at)("size", event.size)("quality", event.quality)(
             "background", event.background)("output_format", event.output_format)("usage",
                                                                                   event.usage)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ErrorRow& row) {
  return Printer(out, "ErrorRow")("status", row.status)("type", row.type)("code", row.code)(
             "retry", row.retry)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ModelEntry& entry) {
  return Printer(out, "ModelEntry")("id", entry.id)("created", entry.created)(
             "owned_by", entry.owned_by)("details", entry.details)
      .end();
}

}  // namespace falproxy::inline v0::openai
