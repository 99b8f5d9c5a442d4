// oneDNN through its C++ interface: a block of two convolutions, prepared once, and a timed loop.
//
// Built as a shared library by `environment.py` and called from `onednn.py`. Weights are reordered
// to the layout that oneDNN likes best. Several layouts are tried inside a block, and the fastest
// is kept; reorders from and to the layout outside are part of a run.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

using dnnl::memory;
using tag = memory::format_tag;

// The names of `onednn.py`'s `CURVES`, in the same order.
enum Curve : std::int64_t { none, leaky_relu, hard_swish, hard_sigmoid, silu, sigmoid, gelu_tanh };

// A curve, or else limits. Its fields and those of `Shape` are `onednn.py`'s, in the same order.
struct Activation {
    Curve curve;
    float bounds[2];
    float slope;
};

struct Shape {
    std::int64_t batch, channels, middle, outputs;
    std::int64_t input[2], output[2], kernel[2], stride[2], dilation[2];
    std::int64_t before[2], after[2];
    Activation between, last;
};

struct Buffers {
    float *input, *depthwise, *depthwise_bias, *depthwise_slopes;
    float *pointwise, *pointwise_bias, *pointwise_slopes, *residual, *output;
};

namespace {

struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
};

struct Block {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    std::vector<Step> steps;
    std::string implementations;

    void run() {
        for (auto &step : steps) step.primitive.execute(stream, step.arguments);
        stream.wait();
    }
};

memory::desc describe(const memory::dims &dims, tag layout) {
    return {dims, memory::data_type::f32, layout};
}

memory::dims pair(const std::int64_t values[2], std::int64_t less = 0) {
    return {values[0] - less, values[1] - less};
}

// A copy of values in another layout, with memory of its own.
memory reordered(Block &block, memory source, const memory::desc &wanted) {
    if (source.get_desc() == wanted) return source;
    memory target{wanted, block.engine};
    dnnl::reorder{source, target}.execute(block.stream, source, target);
    block.stream.wait();
    return target;
}

// One convolution of a block, from the tensor before it.
struct Stage {
    memory::dims target, weight_dims;
    tag weight_layout;
    float *weights, *bias, *slopes;
    Activation activation;
    memory::dims stride, dilation, before, after;
};

void append(dnnl::post_ops &after, const Activation &activation) {
    using dnnl::algorithm;
    const float low = activation.bounds[0], high = activation.bounds[1];
    const float infinity = std::numeric_limits<float>::infinity();
    switch (activation.curve) {
        case leaky_relu: return after.append_eltwise(algorithm::eltwise_relu, activation.slope, 0);
        case hard_swish: return after.append_eltwise(algorithm::eltwise_hardswish, 1 / 6.f, 0.5f);
        case hard_sigmoid:
            return after.append_eltwise(algorithm::eltwise_hardsigmoid, 1 / 6.f, 0.5f);
        case silu: return after.append_eltwise(algorithm::eltwise_swish, 1, 0);
        case sigmoid: return after.append_eltwise(algorithm::eltwise_logistic, 0, 0);
        case gelu_tanh: return after.append_eltwise(algorithm::eltwise_gelu_tanh, 0, 0);
        case none: break;
    }
    if (low == 0 && high == infinity) {
        after.append_eltwise(algorithm::eltwise_relu, 0, 0);
    } else if (low != -infinity || high != infinity) {
        after.append_eltwise(algorithm::eltwise_clip, low, high);
    }
}

// What follows a convolution: a residual, if there is one, and the activation. Adds the tensors
// that it reads to the arguments.
dnnl::primitive_attr epilogue(Block &block, const Stage &stage, const memory *residual,
        std::unordered_map<int, memory> &arguments) {
    dnnl::post_ops after;
    if (residual) {
        after.append_binary(dnnl::algorithm::binary_add, residual->get_desc());
        arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = *residual;
    }
    if (stage.slopes) {
        const int per_channel = 2;
        arguments[DNNL_ARG_ATTR_MULTIPLE_POST_OP(after.len()) | DNNL_ARG_WEIGHTS]
                = {describe({stage.target[1]}, tag::a), block.engine, stage.slopes};
        after.append_prelu(per_channel);
    } else {
        append(after, stage.activation);
    }
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    return attributes;
}

void add_reorder(Block &block, const memory &from, const memory &to) {
    block.steps.push_back(
            {dnnl::reorder{from, to}, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
}

// Adds a stage with tensors of layout `inner` (any: oneDNN's choice); returns its output, which
// lies in `output` if that is given.
memory add_stage(Block &block, memory source, const Stage &stage, tag inner,
        const memory *residual, float *output) {
    std::unordered_map<int, memory> arguments;
    const auto bias = stage.bias ? describe({stage.target[1]}, tag::a) : memory::desc();
    const dnnl::convolution_forward::primitive_desc chosen(block.engine,
            dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
            describe(source.get_desc().get_dims(), inner), describe(stage.weight_dims, tag::any),
            bias, describe(stage.target, inner), stage.stride, stage.dilation, stage.before,
            stage.after, epilogue(block, stage, residual, arguments));
    block.implementations += block.implementations.empty() ? "" : ", ";
    block.implementations += chosen.impl_info_str();
    if (source.get_desc() != chosen.src_desc()) {
        const memory changed{chosen.src_desc(), block.engine};
        add_reorder(block, source, changed);
        source = changed;
    }
    const memory given{describe(stage.weight_dims, stage.weight_layout), block.engine, stage.weights};
    const memory result = output ? memory{chosen.dst_desc(), block.engine, output}
                                 : memory{chosen.dst_desc(), block.engine};
    arguments[DNNL_ARG_SRC] = source;
    arguments[DNNL_ARG_WEIGHTS] = reordered(block, given, chosen.weights_desc());
    arguments[DNNL_ARG_DST] = result;
    if (stage.bias) arguments[DNNL_ARG_BIAS] = {bias, block.engine, stage.bias};
    block.steps.push_back({dnnl::convolution_forward{chosen}, arguments});
    return result;
}

// Adds both stages, with layout `outer` at both ends and `inner` between.
void add_stages(Block &block, const Shape &shape, const Buffers &buffers, tag outer, tag inner) {
    const memory::dims input{shape.batch, shape.channels, shape.input[0], shape.input[1]};
    const memory::dims middle{shape.batch, shape.middle, shape.output[0], shape.output[1]};
    const memory::dims output{shape.batch, shape.outputs, shape.output[0], shape.output[1]};
    const Stage depthwise{middle,
            {shape.channels, shape.middle / shape.channels, 1, shape.kernel[0], shape.kernel[1]},
            tag::goihw, buffers.depthwise, buffers.depthwise_bias, buffers.depthwise_slopes,
            shape.between, pair(shape.stride), pair(shape.dilation, 1), pair(shape.before),
            pair(shape.after)};
    const Stage pointwise{output, {shape.outputs, shape.middle, 1, 1}, tag::oihw,
            buffers.pointwise, buffers.pointwise_bias, buffers.pointwise_slopes,
            shape.last, {1, 1}, {0, 0}, {0, 0}, {0, 0}};
    const bool is_plain = inner == outer;
    memory residual;
    if (buffers.residual) {
        residual = {describe(output, outer), block.engine, buffers.residual};
        if (!is_plain) {
            const memory changed{describe(output, inner), block.engine};
            add_reorder(block, residual, changed);
            residual = changed;
        }
    }
    const memory source{describe(input, outer), block.engine, buffers.input};
    const memory between = add_stage(block, source, depthwise, inner, nullptr, nullptr);
    const memory result = add_stage(block, between, pointwise, inner,
            buffers.residual ? &residual : nullptr, is_plain ? buffers.output : nullptr);
    if (!is_plain) {
        add_reorder(block, result, {describe(output, outer), block.engine, buffers.output});
    }
}

std::int64_t nanoseconds(Block &block, std::int64_t repeats) {
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < repeats; ++i) block.run();
    const auto elapsed = std::chrono::steady_clock::now() - start;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
}

std::int64_t fastest(Block &block) {
    auto best = std::numeric_limits<std::int64_t>::max();
    for (int i = 0; i < 10; ++i) best = std::min(best, nanoseconds(block, 1));
    return best;
}

// The block with the fastest of the layouts inside. One that oneDNN has no convolution for is
// passed over.
std::unique_ptr<Block> prepare(const Shape &shape, const Buffers &buffers, tag outer) {
    std::unique_ptr<Block> best;
    auto best_ns = std::numeric_limits<std::int64_t>::max();
    for (const tag inner : {tag::nhwc, tag::nchw, tag::any}) {
        if (inner == tag::any && buffers.residual) continue; // whose layout has to be known
        if (inner == tag::nchw && outer == tag::nhwc) continue;
        auto block = std::make_unique<Block>();
        try {
            add_stages(*block, shape, buffers, outer, inner);
        } catch (const dnnl::error &) {
            continue;
        }
        const auto ns = fastest(*block);
        if (ns < best_ns) {
            best_ns = ns;
            best = std::move(block);
        }
    }
    if (!best) throw std::runtime_error("no convolution for it");
    return best;
}

thread_local std::string message;

} // namespace

extern "C" {

// The version, and why the last `block_new` failed.
const char *block_version() {
    static const auto version = std::to_string(dnnl::version()->major) + "."
            + std::to_string(dnnl::version()->minor) + "."
            + std::to_string(dnnl::version()->patch);
    return version.c_str();
}
const char *block_error() { return message.c_str(); }

// A prepared block, or null.
Block *block_new(const Shape *shape, const Buffers *buffers, int is_nhwc, int threads) {
    try {
        omp_set_num_threads(threads);
        return prepare(*shape, *buffers, is_nhwc ? tag::nhwc : tag::nchw).release();
    } catch (const std::exception &error) {
        message = error.what();
        return nullptr;
    }
}

const char *block_implementations(const Block *block) { return block->implementations.c_str(); }
std::int64_t block_run(Block *block, std::int64_t repeats) { return nanoseconds(*block, repeats); }
void block_delete(Block *block) { delete block; }

} // extern "C"
