   0  lea r8, [rdi+1800h]
   7  vbroadcastss ymm8, [rcx]
   c  vbroadcastss ymm6, [rcx+4]
  12  vbroadcastss ymm4, [rcx+8]
  18  vbroadcastss ymm2, [rcx+0Ch]
  1e  vbroadcastss ymm1, [rcx+10h]
  24  vbroadcastss ymm10, [rcx+14h]
  2a  vmovaps ymm0, ymm10
  2f  vmovaps ymm3, ymm1
  33  vmovaps ymm5, ymm2
  37  vmovaps ymm7, ymm4
  3b  vmovaps ymm9, ymm6
  3f  vmovaps ymm11, ymm8
  44  nop [rax+rax]
  4d  nop [rax+rax]
  56  nop [rax+rax]
  5f  nop [rax+rax]
  68  nop [rax+rax]
  71  nop [rax+rax]
  7a  nop [rax+rax]
  80  vmovups ymm12, [rsi]
  84  vmovups ymm15, [rsi+20h]
  89  vbroadcastss ymm13, [rdi]
  8e  vfmadd231ps ymm11, ymm12, ymm13
  93  vfmadd231ps ymm8, ymm15, ymm13
  98  vbroadcastss ymm13, [rdi+4]
  9e  vfmadd231ps ymm9, ymm12, ymm13
  a3  vfmadd231ps ymm6, ymm15, ymm13
  a8  vbroadcastss ymm13, [rdi+8]
  ae  vfmadd231ps ymm7, ymm12, ymm13
  b3  vfmadd231ps ymm4, ymm15, ymm13
  b8  vbroadcastss ymm13, [rdi+0Ch]
  be  vfmadd231ps ymm5, ymm12, ymm13
  c3  vfmadd231ps ymm2, ymm15, ymm13
  c8  vbroadcastss ymm13, [rdi+10h]
  ce  vfmadd231ps ymm3, ymm12, ymm13
  d3  vfmadd231ps ymm1, ymm15, ymm13
  d8  vbroadcastss ymm13, [rdi+14h]
  de  vfmadd231ps ymm0, ymm12, ymm13
  e3  vfmadd231ps ymm10, ymm15, ymm13
  e8  add rdi, 18h
  ec  add rsi, 40h
  f0  cmp rdi, r8
  f3  jne short 0000000000000080h
  f5  vpxor xmm12, xmm12, xmm12
  fa  vmaxps ymm11, ymm11, ymm12
  ff  vminps ymm11, ymm11, [220h]
 107  vmovups [rdx], ymm11
 10b  vpxor xmm11, xmm11, xmm11
 110  vmaxps ymm8, ymm8, ymm11
 115  vminps ymm8, ymm8, [220h]
 11d  vmovups [rdx+20h], ymm8
 122  vpxor xmm8, xmm8, xmm8
 127  vmaxps ymm8, ymm9, ymm8
 12c  vminps ymm8, ymm8, [220h]
 134  vmovups [rdx+40h], ymm8
 139  vpxor xmm8, xmm8, xmm8
 13e  vmaxps ymm6, ymm6, ymm8
 143  vminps ymm6, ymm6, [220h]
 14b  vmovups [rdx+60h], ymm6
 150  vpxor xmm6, xmm6, xmm6
 154  vmaxps ymm6, ymm7, ymm6
 158  vminps ymm6, ymm6, [220h]
 160  vmovups [rdx+80h], ymm6
 168  vpxor xmm6, xmm6, xmm6
 16c  vmaxps ymm4, ymm4, ymm6
 170  vminps ymm4, ymm4, [220h]
 178  vmovups [rdx+0A0h], ymm4
 180  vpxor xmm4, xmm4, xmm4
 184  vmaxps ymm4, ymm5, ymm4
 188  vminps ymm4, ymm4, [220h]
 190  vmovups [rdx+0C0h], ymm4
 198  vpxor xmm4, xmm4, xmm4
 19c  vmaxps ymm2, ymm2, ymm4
 1a0  vminps ymm2, ymm2, [220h]
 1a8  vmovups [rdx+0E0h], ymm2
 1b0  vpxor xmm2, xmm2, xmm2
 1b4  vmaxps ymm2, ymm3, ymm2
 1b8  vminps ymm2, ymm2, [220h]
 1c0  vmovups [rdx+100h], ymm2
 1c8  vpxor xmm2, xmm2, xmm2
 1cc  vmaxps ymm1, ymm1, ymm2
 1d0  vminps ymm1, ymm1, [220h]
 1d8  vmovups [rdx+120h], ymm1
 1e0  vpxor xmm1, xmm1, xmm1
 1e4  vmaxps ymm0, ymm0, ymm1
 1e8  vminps ymm0, ymm0, [220h]
 1f0  vmovups [rdx+140h], ymm0
 1f8  vpxor xmm0, xmm0, xmm0
 1fc  vmaxps ymm0, ymm10, ymm0
 200  vminps ymm0, ymm0, [220h]
 208  vmovups [rdx+160h], ymm0
 210  vzeroupper
 213  ret
