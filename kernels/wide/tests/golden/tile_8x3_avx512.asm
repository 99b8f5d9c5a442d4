   0  lea rax, [rdi+2000h]
   7  vbroadcastss zmm0, [rcx]
   d  vbroadcastss zmm1, [rcx+4]
  14  vbroadcastss zmm2, [rcx+8]
  1b  vbroadcastss zmm3, [rcx+0Ch]
  22  vbroadcastss zmm4, [rcx+10h]
  29  vbroadcastss zmm5, [rcx+14h]
  30  vbroadcastss zmm6, [rcx+18h]
  37  vbroadcastss zmm7, [rcx+1Ch]
  3e  vmovaps zmm8, zmm0
  44  vmovaps zmm23, zmm7
  4a  vmovaps zmm22, zmm7
  50  vmovaps zmm21, zmm6
  56  vmovaps zmm20, zmm6
  5c  vmovaps zmm19, zmm5
  62  vmovaps zmm18, zmm5
  68  vmovaps zmm17, zmm4
  6e  vmovaps zmm16, zmm4
  74  vmovaps zmm15, zmm3
  7a  vmovaps zmm14, zmm3
  80  vmovaps zmm13, zmm2
  86  vmovaps zmm12, zmm2
  8c  vmovaps zmm11, zmm1
  92  vmovaps zmm10, zmm1
  98  vmovaps zmm9, zmm0
  9e  nop [rax+rax]
  a7  nop [rax+rax]
  b0  nop [rax+rax]
  b9  nop [rax]
  c0  vmovups zmm24, [rsi]
  c6  vmovups zmm25, [rsi+40h]
  cd  vmovups zmm26, [rsi+80h]
  d4  vbroadcastss zmm27, [rdi]
  da  vfmadd231ps zmm0, zmm24, zmm27
  e0  vfmadd231ps zmm8, zmm25, zmm27
  e6  vfmadd231ps zmm9, zmm26, zmm27
  ec  vbroadcastss zmm27, [rdi+4]
  f3  vfmadd231ps zmm1, zmm24, zmm27
  f9  vfmadd231ps zmm10, zmm25, zmm27
  ff  vfmadd231ps zmm11, zmm26, zmm27
 105  vbroadcastss zmm27, [rdi+8]
 10c  vfmadd231ps zmm2, zmm24, zmm27
 112  vfmadd231ps zmm12, zmm25, zmm27
 118  vfmadd231ps zmm13, zmm26, zmm27
 11e  vbroadcastss zmm27, [rdi+0Ch]
 125  vfmadd231ps zmm3, zmm24, zmm27
 12b  vfmadd231ps zmm14, zmm25, zmm27
 131  vfmadd231ps zmm15, zmm26, zmm27
 137  vbroadcastss zmm27, [rdi+10h]
 13e  vfmadd231ps zmm4, zmm24, zmm27
 144  vfmadd231ps zmm16, zmm25, zmm27
 14a  vfmadd231ps zmm17, zmm26, zmm27
 150  vbroadcastss zmm27, [rdi+14h]
 157  vfmadd231ps zmm5, zmm24, zmm27
 15d  vfmadd231ps zmm18, zmm25, zmm27
 163  vfmadd231ps zmm19, zmm26, zmm27
 169  vbroadcastss zmm27, [rdi+18h]
 170  vfmadd231ps zmm6, zmm24, zmm27
 176  vfmadd231ps zmm20, zmm25, zmm27
 17c  vfmadd231ps zmm21, zmm26, zmm27
 182  vbroadcastss zmm27, [rdi+1Ch]
 189  vfmadd231ps zmm7, zmm24, zmm27
 18f  vfmadd231ps zmm22, zmm25, zmm27
 195  vfmadd231ps zmm23, zmm26, zmm27
 19b  add rdi, 20h
 19f  add rsi, 0C0h
 1a6  cmp rdi, rax
 1a9  jne 00000000000000C0h
 1af  vpxord xmm24, xmm24, xmm24
 1b5  vmaxps zmm0, zmm0, zmm24
 1bb  vminps zmm0, zmm0, [43Ch]{1to16}
 1c5  vmovups [rdx], zmm0
 1cb  vpxor xmm0, xmm0, xmm0
 1cf  vmaxps zmm0, zmm8, zmm0
 1d5  vminps zmm0, zmm0, [43Ch]{1to16}
 1df  vmovups [rdx+40h], zmm0
 1e6  vpxor xmm0, xmm0, xmm0
 1ea  vmaxps zmm0, zmm9, zmm0
 1f0  vminps zmm0, zmm0, [43Ch]{1to16}
 1fa  vmovups [rdx+80h], zmm0
 201  vpxor xmm0, xmm0, xmm0
 205  vmaxps zmm0, zmm1, zmm0
 20b  vminps zmm0, zmm0, [43Ch]{1to16}
 215  vmovups [rdx+0C0h], zmm0
 21c  vpxor xmm0, xmm0, xmm0
 220  vmaxps zmm0, zmm10, zmm0
 226  vminps zmm0, zmm0, [43Ch]{1to16}
 230  vmovups [rdx+100h], zmm0
 237  vpxor xmm0, xmm0, xmm0
 23b  vmaxps zmm0, zmm11, zmm0
 241  vminps zmm0, zmm0, [43Ch]{1to16}
 24b  vmovups [rdx+140h], zmm0
 252  vpxor xmm0, xmm0, xmm0
 256  vmaxps zmm0, zmm2, zmm0
 25c  vminps zmm0, zmm0, [43Ch]{1to16}
 266  vmovups [rdx+180h], zmm0
 26d  vpxor xmm0, xmm0, xmm0
 271  vmaxps zmm0, zmm12, zmm0
 277  vminps zmm0, zmm0, [43Ch]{1to16}
 281  vmovups [rdx+1C0h], zmm0
 288  vpxor xmm0, xmm0, xmm0
 28c  vmaxps zmm0, zmm13, zmm0
 292  vminps zmm0, zmm0, [43Ch]{1to16}
 29c  vmovups [rdx+200h], zmm0
 2a3  vpxor xmm0, xmm0, xmm0
 2a7  vmaxps zmm0, zmm3, zmm0
 2ad  vminps zmm0, zmm0, [43Ch]{1to16}
 2b7  vmovups [rdx+240h], zmm0
 2be  vpxor xmm0, xmm0, xmm0
 2c2  vmaxps zmm0, zmm14, zmm0
 2c8  vminps zmm0, zmm0, [43Ch]{1to16}
 2d2  vmovups [rdx+280h], zmm0
 2d9  vpxor xmm0, xmm0, xmm0
 2dd  vmaxps zmm0, zmm15, zmm0
 2e3  vminps zmm0, zmm0, [43Ch]{1to16}
 2ed  vmovups [rdx+2C0h], zmm0
 2f4  vpxor xmm0, xmm0, xmm0
 2f8  vmaxps zmm0, zmm4, zmm0
 2fe  vminps zmm0, zmm0, [43Ch]{1to16}
 308  vmovups [rdx+300h], zmm0
 30f  vpxor xmm0, xmm0, xmm0
 313  vmaxps zmm0, zmm16, zmm0
 319  vminps zmm0, zmm0, [43Ch]{1to16}
 323  vmovups [rdx+340h], zmm0
 32a  vpxor xmm0, xmm0, xmm0
 32e  vmaxps zmm0, zmm17, zmm0
 334  vminps zmm0, zmm0, [43Ch]{1to16}
 33e  vmovups [rdx+380h], zmm0
 345  vpxor xmm0, xmm0, xmm0
 349  vmaxps zmm0, zmm5, zmm0
 34f  vminps zmm0, zmm0, [43Ch]{1to16}
 359  vmovups [rdx+3C0h], zmm0
 360  vpxor xmm0, xmm0, xmm0
 364  vmaxps zmm0, zmm18, zmm0
 36a  vminps zmm0, zmm0, [43Ch]{1to16}
 374  vmovups [rdx+400h], zmm0
 37b  vpxor xmm0, xmm0, xmm0
 37f  vmaxps zmm0, zmm19, zmm0
 385  vminps zmm0, zmm0, [43Ch]{1to16}
 38f  vmovups [rdx+440h], zmm0
 396  vpxor xmm0, xmm0, xmm0
 39a  vmaxps zmm0, zmm6, zmm0
 3a0  vminps zmm0, zmm0, [43Ch]{1to16}
 3aa  vmovups [rdx+480h], zmm0
 3b1  vpxor xmm0, xmm0, xmm0
 3b5  vmaxps zmm0, zmm20, zmm0
 3bb  vminps zmm0, zmm0, [43Ch]{1to16}
 3c5  vmovups [rdx+4C0h], zmm0
 3cc  vpxor xmm0, xmm0, xmm0
 3d0  vmaxps zmm0, zmm21, zmm0
 3d6  vminps zmm0, zmm0, [43Ch]{1to16}
 3e0  vmovups [rdx+500h], zmm0
 3e7  vpxor xmm0, xmm0, xmm0
 3eb  vmaxps zmm0, zmm7, zmm0
 3f1  vminps zmm0, zmm0, [43Ch]{1to16}
 3fb  vmovups [rdx+540h], zmm0
 402  vpxor xmm0, xmm0, xmm0
 406  vmaxps zmm0, zmm22, zmm0
 40c  vminps zmm0, zmm0, [43Ch]{1to16}
 416  vmovups [rdx+580h], zmm0
 41d  vpxor xmm0, xmm0, xmm0
 421  vmaxps zmm0, zmm23, zmm0
 427  vminps zmm0, zmm0, [43Ch]{1to16}
 431  vmovups [rdx+5C0h], zmm0
 438  vzeroupper
 43b  ret
