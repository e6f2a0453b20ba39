// Input: the Content-Type of a form, "---", its body.
#include "falproxy/form_reader.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "falproxy/http.hpp"
#include "law.hpp"

using namespace falproxy;
using fuzz::hold;

namespace {

struct Part {
  FormPartHead head;
  std::string bytes;
  bool operator==(const Part&) const = default;
};

class Parts final : public FormSink {
 public:
  Result<Done> begin_part(FormPartHead head) override {
    all.push_back({std::move(head), ""});
    return Done{};
  }
  Result<Done> append(std::string_view bytes) override {
    hold(!bytes.empty() && !all.empty(), "bytes belong to a part");
    all.back().bytes.append(bytes);
    return Done{};
  }
  std::vector<Part> all;
};

using Read = Result<std::vector<Part>>;

// In pieces of `step` bytes.
Read read(std::string_view type, std::string_view body, std::size_t step) {
  Parts parts;
  Result<FormReader> reader = FormReader::create(type, parts);
  if (!reader) return reader.error();
  for (std::size_t at = 0; at < body.size(); at += step) {
    if (const Result<Done> done = reader->read(body.substr(at, step)); !done) return done.error();
  }
  if (const Result<Done> end = reader->finish(); !end) return end.error();
  return parts.all;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string write(const std::vector<Part>& parts, const std::string& boundary) {
  std::string body;
  for (const Part& part : parts) {
    body.append("--" + boundary + "\r\nContent-Disposition: form-data; name=");
    body.append(quoted(part.head.name));
    if (part.head.file_name)
      body.append("; filename*=utf-8''" + percent_encode(*part.head.file_name));
    // Where it is no UTF-8, filename* says nothing.
    if (part.head.file_name) body.append("; filename=" + quoted(*part.head.file_name));
    if (!part.head.content_type.empty()) body.append("\r\nContent-Type: " + part.head.content_type);
    if (!part.head.transfer_encoding.empty())
      body.append("\r\nContent-Transfer-Encoding: " + part.head.transfer_encoding);
    body.append("\r\n\r\n" + part.bytes + "\r\n");
  }
  return body.append("--" + boundary + "--");
}

bool has_line_break(const std::vector<Part>& parts) {
  return std::ranges::any_of(parts, [](const Part& part) {
    const std::string name = part.head.file_name.value_or("");
    return std::ranges::any_of(name, [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::parts(fuzz::text(data, size), 2);
  const std::string_view body = input[1];
  const Read whole = read(input[0], body, body.size() + 1);
  for (const std::size_t step : {1, 2, 3, 7, 64}) {
    hold(read(input[0], body, step) == whole, "a form means the same however it is cut");
  }
  if (!whole) {
    hold(whole.error().kind == ErrorKind::bad_request_framing && !whole.error().message.empty(),
         "what is no form is refused with words");
    return 0;
  }
  std::size_t bytes = 0;
  for (const Part& part : *whole) bytes += part.bytes.size() + part.head.name.size();
  hold(bytes <= body.size(), "nothing is there that was not sent");
  // No plain filename can say it; or its head would be too long once it is quoted.
  if (has_line_break(*whole) || size > 2000) return 0;
  std::string boundary = "b";
  while (body.find(boundary) != std::string_view::npos) boundary += 'b';
  if (boundary.size() > 70) return 0;
  const Read again =
      read("multipart/form-data; boundary=" + boundary, write(*whole, boundary), size + 1);
  hold(again == whole, "what is read and written again is the same");
  return 0;
}
