// form_reader.hpp: reads a multipart/form-data body (RFC 7578, RFC 2046 5.1) as its bytes arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// What a form may cost besides the bytes of its parts, which its FormSink bounds. Every client
/// that is known needs a tenth of this.
struct FormLimits {
  std::size_t max_parts = 256;              ///< of one form
  std::size_t max_head_bytes = 8u << 10;    ///< of the head of one part, in bytes
  std::size_t max_head_lines = 16;          ///< of the head of one part
  std::size_t max_around_bytes = 1u << 10;  ///< before the first boundary, and after the last
};

/// What stands before the bytes of a part.
struct FormPartHead {
  std::string name = {};                                ///< of the field; bytes, as they came
  std::optional<std::string> file_name = std::nullopt;  ///< there for a file, even if empty
  std::string content_type = {};                        ///< as it came; empty: none
  std::string transfer_encoding = {};                   ///< lower case; empty: none
  bool operator==(const FormPartHead&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const FormPartHead& head);

/// Where the parts go. An error that it returns ends the reading, and is the reader's own then.
class FormSink {
 public:
  virtual ~FormSink() = default;
  /// A head has been read; what append() gives from now on is this part's.
  virtual Result<Done> begin_part(FormPartHead head) = 0;
  /// More bytes, never none, of the part that was begun last. They are not decoded.
  virtual Result<Done> append(std::string_view bytes) = 0;
};

/// Takes time in proportion to what it reads, whatever that is, and holds no more of it than one
/// head. How the body is cut into pieces makes no difference. Lines end in CR LF.
class FormReader {
 public:
  /// `content_type` is the request's. `sink` must outlive the reader. Errors: bad_request_framing,
  /// if it names no boundary of 1 to 70 characters.
  [[nodiscard]] static Result<FormReader> create(std::string_view content_type, FormSink& sink,
                                                 const FormLimits& limits = {});

  /// The next bytes of the body. Errors: bad_request_framing, and the sink's; it must not be used
  /// after one.
  Result<Done> read(std::string_view bytes);
  /// The body is over. Errors: bad_request_framing, if its last boundary is missing.
  Result<Done> finish() const;

 private:
  enum class State : std::uint8_t { preamble, content, after_boundary, head, epilogue };

  FormReader(std::string delimiter, FormSink& sink, const FormLimits& limits);
  Result<Done> search(std::string_view& bytes);
  Result<Done> end_boundary(std::string_view& bytes);
  Result<Done> read_head(std::string_view& bytes);
  Result<Done> read_field(std::string_view line);
  Result<Done> read_disposition(std::string_view value);
  Result<Done> begin_part();
  Result<Done> emit(std::string_view bytes);

  std::string delimiter_;  // CR LF -- boundary
  FormSink* sink_;
  FormLimits limits_;
  State state_ = State::preamble;
  // Of the delimiter, so much has been seen and is held back. The beginnings of the body and of a
  // part count as a CR LF that was seen but never came.
  std::size_t matched_ = 2;
  std::size_t never_came_ = 2;
  std::size_t around_ = 0;  // bytes of the preamble or epilogue
  std::size_t parts_ = 0;

  // The part whose head is being read.
  std::string line_;
  std::size_t head_bytes_ = 0;
  std::size_t head_lines_ = 0;
  bool named_ = false;
  FormPartHead head_;
};

}  // namespace falproxy::inline v0
