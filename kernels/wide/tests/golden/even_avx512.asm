   0  vmovups zmm0, [rdi]
   6  vshufps zmm0, zmm0, [rdi+40h], 88h
   e  vmovups zmm1, [80h]
  18  vpermpd zmm0, zmm1, zmm0
  1e  vpxor xmm1, xmm1, xmm1
  22  vmaxps zmm0, zmm0, zmm1
  28  vminps zmm0, zmm0, [0C0h]{1to16}
  32  mov eax, 0FFFFFFFFh
  37  bzhi eax, eax, edx
  3c  kmovw k1, eax
  40  vmovups [rsi]{k1}, zmm0
  46  vzeroupper
  49  ret
