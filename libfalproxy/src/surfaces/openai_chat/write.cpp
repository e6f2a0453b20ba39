#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/openai_chat.hpp"
#include "json/access.hpp"
#include "surfaces/json_text.hpp"

namespace falproxy::inline v0::openai {
namespace {

using Pictures = std::vector<TalkPicture>;

// `"images":[...]`; nothing if there are none.
bool add_images(JsonText& out, const Pictures& pictures) {
  std::size_t index = 0;
  for (const TalkPicture& picture : pictures) {
    Body address = picture.data_uri;
    if (address.empty()) address = Body(picture.address);
    out.add(index == 0 ? R"("images":[)" : ",");
    out.add(fmt::format(R"({{"type":"image_url","index":{},"image_url":{{"url":)", index));
    out.add_string(address);
    out.add("}}");
    ++index;
  }
  if (index > 0) out.add("]");
  return index > 0;
}

Body content_of(const ChatAnswer& answer, const Pictures& pictures) {
  if (!answer.text.empty()) return Body(answer.text);
  return answer.shows_markdown ? markdown_of(pictures) : Body();
}

std::string usage_of(const ChatAnswer& answer) {
  std::string text =
      R"("usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,)"
      R"("prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0})";
  if (answer.cost) text.append(R"(,"cost":)").append(answer.cost->to_string());
  return text.append("}");
}

class Chunks {
 public:
  explicit Chunks(const ChatAnswer& answer)
      : start_(fmt::format(R"(data: {{"id":{},"object":"chat.completion.chunk","created":{},)"
                           R"("model":{},"choices":[)",
                           json_string(answer.id), answer.created, json_string(answer.model))) {}

  /// `add_delta` writes what stands in the delta's braces.
  template <class F>
  void add(std::size_t index, std::string_view finish, F&& add_delta) {
    out_.add(start_);
    out_.add(fmt::format(R"({{"index":{},"delta":{{)", index));
    add_delta(out_);
    out_.add(fmt::format("}},\"logprobs\":null,\"finish_reason\":{}}}]}}\n\n", finish));
  }
  void add_usage(const ChatAnswer& answer) {
    out_.add(start_);
    out_.add("],");
    out_.add(usage_of(answer));
    out_.add("}\n\n");
  }
  [[nodiscard]] Body take() { return out_.take(); }
  void end() { out_.add("data: [DONE]\n\n"); }

 private:
  const std::string start_;
  JsonText out_;
};

}  // namespace

Body markdown_of(const std::vector<TalkPicture>& pictures) {
  Body text;
  for (const TalkPicture& picture : pictures) {
    text.append(text.empty() ? "![image](" : "\n\n![image](");
    if (picture.address.empty()) {
      text.append(picture.data_uri);
    } else {
      text.append(picture.address);
    }
    text.append(std::string(")"));
  }
  return text;
}

Body write(const ChatAnswer& answer) {
  JsonText out;
  out.add(fmt::format(R"({{"id":{},"object":"chat.completion","created":{},"model":{},)"
                      R"("system_fingerprint":null,"choices":[)",
                      json_string(answer.id), answer.created, json_string(answer.model)));
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const Pictures& pictures = answer.choices[i];
    out.add(fmt::format(R"({}{{"index":{},"finish_reason":"stop","logprobs":null,"message":)"
                        R"({{"role":"assistant","refusal":null,"content":)",
                        i == 0 ? "" : ",", i));
    out.add_string(content_of(answer, pictures));
    if (answer.shows_images && !pictures.empty()) {
      out.add(",");
      static_cast<void>(add_images(out, pictures));
    }
    out.add("}}");
  }
  out.add("]," + usage_of(answer) + "}");
  return out.take();
}

Body write_first_chunks(const ChatAnswer& answer, int choices) {
  Chunks chunks(answer);
  for (int i = 0; i < choices; ++i) {
    chunks.add(static_cast<std::size_t>(i), "null",
               [](JsonText& out) { out.add(R"("role":"assistant","content":"")"); });
  }
  return chunks.take();
}

Body write_last_chunks(const ChatAnswer& answer, bool include_usage) {
  Chunks chunks(answer);
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const Pictures& pictures = answer.choices[i];
    // Some programs read nothing else of a chunk that holds images.
    if (answer.shows_images && !pictures.empty()) {
      chunks.add(i, "null", [&](JsonText& out) { static_cast<void>(add_images(out, pictures)); });
    }
    const Body content = content_of(answer, pictures);
    if (!content.empty()) {
      chunks.add(i, "null", [&](JsonText& out) {
        out.add(R"("content":)");
        out.add_string(content);
      });
    }
    chunks.add(i, R"("stop")", [](JsonText&) {});
  }
  if (include_usage) chunks.add_usage(answer);
  chunks.end();
  return chunks.take();
}

std::string write_chat_error(const Error& error, std::string_view model) {
  return "data: " + write_error(error, model) + "\n\n";
}

}  // namespace falproxy::inline v0::openai
