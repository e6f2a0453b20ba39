#include "surfaces/talk/talk.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "json/access.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

bool is_system(std::string_view role) noexcept { return role == "system" || role == "developer"; }

// One message, its texts joined and its pictures taken out.
struct Message {
  std::string text;
  Raw pictures = Raw::array();
};

class MessageReader {
 public:
  MessageReader(std::string_view name, std::vector<Leftover>& leftovers)
      : name_(name), leftovers_(leftovers) {}

  Result<Message> read(Raw& message) {
    message_ = {};
    const auto content = message.find("content");
    if (content != message.end() && content->is_string()) {
      message_.text = std::move(content->get_ref<std::string&>());
    } else if (content != message.end() && content->is_array()) {
      for (Raw& part : *content) {
        if (auto fault = read_part(part)) return *std::move(fault);
      }
    } else if (content != message.end() && content->is_object()) {
      if (auto fault = read_part(*content)) return *std::move(fault);
    } else if (content != message.end() && !content->is_null()) {
      return invalid_type(fmt::format("{}[].content", name_), "a string or an array",
                          Json::Access::wrap(std::move(*content)));
    }
    // As an earlier answer of ours comes back from clients that keep unknown members.
    if (const auto images = message.find("images"); images != message.end() && images->is_array()) {
      for (Raw& image : *images) take_picture(image);
    }
    return std::move(message_);
  }

 private:
  std::optional<Error> read_part(Raw& part) {
    if (part.is_string()) {
      add_text(part.get_ref<const std::string&>());
      return std::nullopt;
    }
    if (!part.is_object()) return std::nullopt;
    const std::string type = text_of(part, "type");
    if (const Raw* id = member_of(part, "file_id"); id != nullptr && type == "input_image") {
      return Error{
          ErrorKind::unsupported_parameter,
          fmt::format("Unsupported parameter: '{}[].file_id'. No files are kept here; send "
                      "'image_url' with an https address or a data URL instead.",
                      name_),
          fmt::format("{}[].file_id", name_)};
    }
    if (type == "text" || type == "input_text" || type == "output_text") {
      add_text(text_of(part, "text"));
    } else if (part.contains("image_url") || (type == "image" && part.contains("url"))) {
      take_picture(part);
    } else if (!type.empty() && type != "refusal" && type != "reasoning" &&
               leftovers_.size() < most_leftovers) {
      leftovers_.emplace_back(name_, fmt::format("a part of the type '{}' has no use for a picture",
                                                 type.substr(0, 40)));
    }
    return std::nullopt;
  }

  void add_text(std::string_view text) {
    if (text.empty()) return;
    if (!message_.text.empty()) message_.text += '\n';
    message_.text += text;
  }

  void take_picture(Raw& part) {
    if (!part.is_object() && !part.is_string()) return;
    if (part.is_object()) {
      part.erase("type");
      part.erase("detail");
      part.erase("index");
    }
    message_.pictures.push_back(std::move(part));
  }

  const std::string name_;
  std::vector<Leftover>& leftovers_;
  Message message_;
};

// Open WebUI puts documents before the user's own words.
std::string own_words(std::string text) {
  constexpr std::string_view end = "</context>";
  const bool wraps = text.starts_with("### Task:") && text.find("<context>") != std::string::npos &&
                     text.find("<context>") < text.find("<chat_history>");
  const std::size_t at = wraps ? text.rfind(end) : std::string::npos;
  if (at == std::string::npos) return text;
  const std::string_view rest = trim(std::string_view(text).substr(at + end.size()));
  return rest.empty() ? text : std::string(rest);
}

}  // namespace

void for_each_shown(std::string_view markdown, const std::function<bool(std::string_view)>& take) {
  for (std::size_t at = markdown.find("!["); at != std::string_view::npos;
       at = markdown.find("![", at)) {
    const std::size_t open = markdown.find("](", at);
    if (open == std::string_view::npos) return;
    const std::size_t begin = open + 2;
    const std::size_t end = markdown.find_first_of(") \n", begin);
    if (end == std::string_view::npos) return;
    if (markdown.substr(at, open - at).find('\n') == std::string_view::npos &&
        !take(markdown.substr(begin, end - begin)))
      return;
    at = end;
  }
}

Result<Talk> read_talk(Raw& messages, std::string_view name, const RequestLimits& limits,
                       const std::function<bool(std::string_view)>& is_ours) {
  Talk talk;
  talk.pictures = talk.earlier = Raw::array();
  MessageReader reader(name, talk.leftovers);
  Message answer, shown;
  for (Raw& one : messages) {
    if (!one.is_object()) continue;
    const std::string role = text_of(one, "role");
    talk.ends_with_system = is_system(role);
    if (!is_system(role) && role != "user" && role != "assistant") continue;
    Result<Message> message = reader.read(one);
    if (!message) return std::move(message).error();
    if (is_system(role)) {
      talk.systems.push_back(std::move(message->text));
    } else if (role == "assistant") {
      ++talk.answers;
      // An answer may come in several items.
      answer.text += "\n" + message->text;
      for (Raw& picture : message->pictures) answer.pictures.push_back(std::move(picture));
    } else {
      ++talk.users;
      talk.before = std::exchange(talk.prompt, std::move(message->text));
      talk.pictures = std::move(message->pictures);
      shown = std::exchange(answer, {});
    }
  }
  talk.earlier = std::move(shown.pictures);
  if (talk.earlier.empty()) {
    for_each_shown(shown.text, [&](std::string_view address) {
      if (address.starts_with("data:image/") || is_ours(address)) talk.earlier.push_back(address);
      return talk.earlier.size() < limits.max_input_images;
    });
  }
  talk.prompt = own_words(std::move(talk.prompt));
  return talk;
}

std::optional<Error> fault_of_prompt(const Talk& talk, std::string_view name,
                                     const RequestLimits& limits) {
  if (talk.users == 0 || trim(talk.prompt).empty()) {
    return Error{ErrorKind::missing_parameter,
                 fmt::format("Invalid '{}': the last message of the user has no text, and so there "
                             "is nothing to draw.",
                             name),
                 std::string(name)};
  }
  if (talk.prompt.size() <= limits.max_text_bytes) return std::nullopt;
  return Error{ErrorKind::body_too_large,
               fmt::format("Invalid '{}': the last message of the user has more than {} bytes of "
                           "text.",
                           name, limits.max_text_bytes),
               std::string(name)};
}

Error talk_error(Error error, std::string_view name) {
  if (error.kind == ErrorKind::unsupported_parameter) return error;
  for (const std::string_view of_images : {"prompt", "images", "image"}) {
    if (error.field != of_images && !error.field.starts_with(std::string(of_images) + "[") &&
        !error.field.starts_with(std::string(of_images) + "."))
      continue;
    const std::string quoted = "'" + error.field + "'";
    if (const std::size_t at = error.message.find(quoted); at != std::string::npos)
      error.message.replace(at, quoted.size(), fmt::format("'{}'", name));
    error.field = name;
    break;
  }
  return error;
}

}  // namespace falproxy::inline v0::openai
