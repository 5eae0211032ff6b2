/* The codecs that Ringway's are measured beside, libspandsp's and libavcodec's, behind functions as simple as those of a codec
   can be. Compiled and loaded by benches/codec.rs when it runs. A stream is one opaque pointer; NULL means that it is not to be had. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
#include <spandsp.h>

/* libspandsp. Its G.722 coders take and give 16 kHz, or 8 kHz with nothing in the upper band. */

void *spandsp_g722_encoder(int rate)
{
    return g722_encode_init(NULL, 64000, rate == 8000 ? G722_SAMPLE_RATE_8000 : 0);
}

void *spandsp_g722_decoder(int rate)
{
    return g722_decode_init(NULL, 64000, rate == 8000 ? G722_SAMPLE_RATE_8000 : 0);
}

void *spandsp_g711(int alaw)
{
    return g711_init(NULL, alaw ? G711_ALAW : G711_ULAW);
}

int spandsp_g722_encode(void *stream, const int16_t *pcm, int samples, uint8_t *codes)
{
    return g722_encode(stream, codes, pcm, samples);
}

int spandsp_g722_decode(void *stream, const uint8_t *codes, int octets, int16_t *pcm)
{
    return g722_decode(stream, pcm, codes, octets);
}

int spandsp_g711_encode(void *stream, const int16_t *pcm, int samples, uint8_t *codes)
{
    return g711_encode(stream, codes, pcm, samples);
}

int spandsp_g711_decode(void *stream, const uint8_t *codes, int octets, int16_t *pcm)
{
    return g711_decode(stream, pcm, codes, octets);
}

int spandsp_g711_transcode(void *stream, const uint8_t *from, int octets, uint8_t *to)
{
    return g711_transcode(stream, to, from, octets);
}

/* libavcodec, a packet and a frame for each stream, used again and again. */

struct coder {
    AVCodecContext *context;
    AVPacket *packet;
    AVFrame *frame;
};

static struct coder *opened(const AVCodec *codec, int rate, int samples, int octets)
{
    struct coder *coder = calloc(1, sizeof *coder);
    if (!codec || !coder)
        return NULL;
    coder->context = avcodec_alloc_context3(codec);
    coder->packet = av_packet_alloc();
    coder->frame = av_frame_alloc();
    coder->context->sample_rate = rate;
    coder->context->sample_fmt = AV_SAMPLE_FMT_S16;
    av_channel_layout_default(&coder->context->ch_layout, 1);
    if (avcodec_open2(coder->context, codec, NULL) < 0)
        return NULL;
    if (octets)
        return av_new_packet(coder->packet, octets) < 0 ? NULL : coder;
    coder->frame->nb_samples = samples;
    coder->frame->format = AV_SAMPLE_FMT_S16;
    coder->frame->sample_rate = rate;
    av_channel_layout_default(&coder->frame->ch_layout, 1);
    return av_frame_get_buffer(coder->frame, 0) < 0 ? NULL : coder;
}

void *av_encoder(const char *name, int rate, int samples)
{
    return opened(avcodec_find_encoder_by_name(name), rate, samples, 0);
}

void *av_decoder(const char *name, int rate, int octets)
{
    return opened(avcodec_find_decoder_by_name(name), rate, 0, octets);
}

int av_encode(void *stream, const int16_t *pcm, int samples, uint8_t *codes)
{
    struct coder *coder = stream;
    int octets;
    if (av_frame_make_writable(coder->frame) < 0)
        return -1;
    memcpy(coder->frame->data[0], pcm, 2 * samples);
    if (avcodec_send_frame(coder->context, coder->frame) < 0 || avcodec_receive_packet(coder->context, coder->packet) < 0)
        return -1;
    octets = coder->packet->size;
    memcpy(codes, coder->packet->data, octets);
    av_packet_unref(coder->packet);
    return octets;
}

int av_decode(void *stream, const uint8_t *codes, int octets, int16_t *pcm)
{
    struct coder *coder = stream;
    if (av_packet_make_writable(coder->packet) < 0)
        return -1;
    memcpy(coder->packet->data, codes, octets);
    if (avcodec_send_packet(coder->context, coder->packet) < 0 || avcodec_receive_frame(coder->context, coder->frame) < 0)
        return -1;
    memcpy(pcm, coder->frame->data[0], 2 * coder->frame->nb_samples);
    return coder->frame->nb_samples;
}

void *swr_stream(int from, int to)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    SwrContext *context = NULL;
    if (swr_alloc_set_opts2(&context, &mono, AV_SAMPLE_FMT_S16, to, &mono, AV_SAMPLE_FMT_S16, from, 0, NULL) < 0)
        return NULL;
    return swr_init(context) < 0 ? NULL : context;
}

int swr_run(void *stream, const int16_t *in, int samples, int16_t *out, int room)
{
    const uint8_t *from = (const uint8_t *)in;
    uint8_t *to = (uint8_t *)out;
    return swr_convert(stream, &to, room, &from, samples);
}
