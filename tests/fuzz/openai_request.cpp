// Input: the body of an image request as JSON; or, after a first line "form", parts of a form, each
// a line `name|file name|content type|text`; or, after a first line "multipart", the body of a form
// whose boundary is "b".
#include <memory>
#include <string>

#include "base/text.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/test_doubles.hpp"
#include "json/access.hpp"
#include "law.hpp"

using namespace falproxy;
using namespace falproxy::openai;
using fuzz::hold;

namespace {

void check_request(const Wish& request, const RequestLimits& limits) {
  hold(!request.n || (*request.n >= 1 && *request.n <= limits.max_images),
       "n is within its limits");
  hold(!request.partial_images || (*request.partial_images >= 0 && *request.partial_images <= 3),
       "partial_images is 0 to 3");
  hold(!request.output_compression ||
           (*request.output_compression >= 0 && *request.output_compression <= 100),
       "compression is 0 to 100");
  hold(request.images.size() + request.attached.size() <= limits.max_input_images,
       "no more pictures than may be");
  if (request.size.kind == SizeWish::Kind::pixels || request.size.kind == SizeWish::Kind::ratio) {
    hold(request.size.width > 0 && request.size.height > 0, "a size has two sides");
  }
  std::string last;
  for (const auto& [name, value] : request.native) {
    hold(last.empty() || last < name, "native fields stand in order, each once");
    hold(!value.is_null(), "null is absent");
    for (const char* known : {"prompt", "model", "n", "size", "quality", "response_format",
                              "images", "image", "mask", "user", "stream"}) {
      hold(name != known, "a field of OpenAI's is not native");
    }
    last = name;
  }
  for (const InputFile& image : request.images)
    hold(image.url.empty() != image.bytes.empty(), "a picture is an address or bytes");
}

void check_error(const Error& error) {
  const std::string body = write_error(error, "model");
  const auto json = Json::parse(body);
  hold(json.has_value(), "an error is written as JSON");
  const auto inner = json->find("error");
  hold(inner && inner->find("message") && inner->find("message")->as_string() &&
           inner->find("type") && inner->find("code") && inner->find("param"),
       "an error has message, type, param and code");
  hold(!error.message.empty(), "an error has words");
  const int status = openai::describe(error.kind).status;
  hold((status >= 400 && status < 500) || error.kind == ErrorKind::overloaded,
       "what a client sends wrong is a 4xx");
}

std::vector<FormPart> form(std::string_view lines) {
  std::vector<FormPart> parts;
  for_each_part(lines, '\n', [&](std::string_view line) {
    std::vector<std::string> cells;
    for_each_part(line, '|', [&](std::string_view cell) { cells.emplace_back(cell); });
    cells.resize(4);
    FormPart part;
    part.name = cells[0];
    if (!cells[1].empty()) part.file_name = cells[1];
    part.content_type = cells[2];
    const auto owner = std::make_shared<const std::string>(cells[3]);
    part.owner = owner;
    part.bytes = *owner;
    parts.push_back(part);
  });
  return parts;
}

Result<Wish> gathered(Intent intent, std::string_view body, const RequestLimits& limits,
                      const Codecs& codecs) {
  MemoryBudget budget(1u << 20);
  FormGatherer gatherer(limits, codecs, &budget, body.size() / 2);
  Result<FormReader> reader = FormReader::create("multipart/form-data; boundary=b", gatherer);
  hold(reader.has_value(), "this is a boundary");
  Result<Done> read = reader->read(body);
  hold(budget.used() >= gatherer.text_bytes(), "what is gathered is counted");
  if (read) read = reader->finish();
  if (!read) return read.error();
  Result<std::vector<FormPart>> parts = gatherer.take();
  if (!parts) return parts.error();
  return parse_form(intent, std::move(*parts), limits, codecs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const testing::PlainCodecs codecs;
  std::string_view input = fuzz::text(data, size);
  const RequestLimits limits;
  constexpr std::string_view form_line = "form\n";
  constexpr std::string_view multipart_line = "multipart\n";
  for (const auto intent : {Intent::generation, Intent::edit, Intent::variation}) {
    Result<Wish> request = Error{};
    if (input.starts_with(form_line)) {
      request = parse_form(intent, form(input.substr(form_line.size())), limits, codecs);
    } else if (input.starts_with(multipart_line)) {
      request = gathered(intent, input.substr(multipart_line.size()), limits, codecs);
    } else {
      request = parse_json(intent, input, limits, codecs);
    }
    if (request) {
      check_request(*request, limits);
    } else {
      check_error(request.error());
    }
  }
  return 0;
}
